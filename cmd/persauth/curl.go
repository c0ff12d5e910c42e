package main

// persauth curl: one request with the session's token, and its proof.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/persauthclient"
	"github.com/spf13/cobra"
)

const (
	// maxSent is the most that is sent from a file or standard input, in bytes:
	// all of it is held, so that it can be sent again.
	maxSent = 64 << 20

	curlHelp = `Sends one request with a token of the session of persauth login, and with a proof
where its tokens are bound to a key. A token that the service does not accept is
refreshed, and the request sent once more. The body of the answer goes to standard
output.

The token goes to the address that you give, and to no other: redirects to other
hosts are not followed. A request to PERS itself has the project key, too.

` + sessionHelp + `

Exit status: 0 an answer came, 1 there is no session, or it has ended, or with
--fail the answer has a status of 400 or more, 2 wrong usage, 3 no answer.`
)

// curlOptions are the flags of curl, named as those of the program curl.
type curlOptions struct {
	sessionOptions
	method           text
	data             texts
	headers          texts
	include, fail    bool
	location         bool
	output           text
	maxTime          time.Duration
	insecureAllowAll bool
}

func (sh *shell) curlCommand() *cobra.Command {
	var o curlOptions
	cmd := &cobra.Command{
		Use:                   "curl [flags] URL",
		Short:                 "Send a request with a token and its proof",
		Long:                  curlHelp,
		Example:               "  persauth curl https://api.example.com/orders\n  persauth curl -d '{\"item\": 7}' https://api.example.com/orders",
		Args:                  oneURL,
		DisableFlagsInUseLine: true,
		RunE:                  func(cmd *cobra.Command, args []string) error { return sh.curl(cmd, &o, args[0]) },
	}
	o.register(cmd.Flags())
	f := cmd.Flags()
	f.VarP(&o.method, "request", "X", "use method `METHOD` (default GET, or POST with --data)")
	f.VarP(&o.data, "data", "d", "send `DATA`, or the file of @FILE, or standard input for @-; JSON, if it is")
	f.VarP(&o.headers, "header", "H", "send header `LINE`, as in 'Name: value'; may be given several times")
	f.BoolVarP(&o.include, "include", "i", false, "write status and headers of the answer, too")
	f.BoolVarP(&o.fail, "fail", "f", false, "exit with 1 where the answer has a status of 400 or more")
	f.BoolVarP(&o.location, "location", "L", false, "follow redirects on the same host")
	f.VarP(&o.output, "output", "o", "write the body to `FILE`")
	f.DurationVarP(&o.maxTime, "max-time", "m", time.Minute, "wait at most `D` for all of it")
	f.BoolVar(&o.insecureAllowAll, "insecure-allow-http", false, "send the token over plain http to any host: everybody on the way can read it")
	return cmd
}

func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one URL\nsee: %s --help", cmd.CommandPath())
	}
	return nil
}

func (sh *shell) curl(cmd *cobra.Command, o *curlOptions, address string) error {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || target.User != nil {
		return errors.New("the argument is not a URL of the form https://host/path") // it may hold a secret
	}
	source, _, err := o.source(sh, nil)
	if err != nil {
		return err
	}
	defer source.Close()
	request, err := o.request(sh, cmd, target)
	if err != nil {
		return err
	}
	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source,
		Origins: []string{target.Scheme + "://" + target.Host}, InsecureAllowHTTP: o.insecureAllowAll})
	if err != nil {
		return errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "persauthclient: "), "Origins[0]", "the URL"))
	}
	client := &http.Client{Transport: transport, Timeout: o.maxTime, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if !o.location || next.URL.Host != target.Host || next.URL.Scheme != target.Scheme || len(via) > 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := client.Do(request)
	if err != nil {
		return sh.sessionStatus(noAnswer(err))
	}
	defer response.Body.Close()
	if err := o.write(sh, response); err != nil {
		return err
	}
	if o.fail && response.StatusCode >= 400 {
		fmt.Fprintf(sh.err, "persauth: the answer has status %d\n", response.StatusCode)
		return exitStatus(exitInvalid)
	}
	return nil
}

// request makes the request that the flags ask for.
func (o *curlOptions) request(sh *shell, cmd *cobra.Command, target *url.URL) (*http.Request, error) {
	method, body := string(o.method), []byte(nil)
	for _, data := range o.data {
		more, err := sh.data(cmd, data)
		if err != nil {
			return nil, err
		}
		if body != nil {
			body = append(body, '&') // as curl does
		}
		body = append(body, more...)
	}
	if method == "" {
		method = http.MethodGet
		if o.data != nil {
			method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(cmd.Context(), method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("--request is not a method")
	}
	r.Header.Set("Accept", "*/*")
	r.Header.Set("User-Agent", "persauth")
	if o.data != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if json.Valid(body) {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	key, base := sh.account(o.projectKey, o.baseURL)
	if base == "" {
		base = "https://api.pers.ninja/v2"
	}
	if pers, err := url.Parse(base); err == nil && pers.Scheme == target.Scheme && strings.EqualFold(pers.Host, target.Host) {
		r.Header.Set("x-project-key", key)
	}
	for _, line := range o.headers {
		name, value, found := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if !found || name == "" {
			return nil, errors.New("--header is not of the form 'Name: value'")
		}
		if slices.Contains([]string{"Authorization", "Dpop"}, name) {
			return nil, errors.New("--header " + name + " is made from the session: to send one of your own, use curl")
		}
		if name == "Host" {
			return nil, errors.New("--header Host is not taken: the token is for the host of the URL")
		}
		r.Header.Set(name, strings.TrimSpace(value))
	}
	return r, nil
}

// data returns what a value of --data stands for.
func (sh *shell) data(cmd *cobra.Command, value string) ([]byte, error) {
	path, isFile := strings.CutPrefix(value, "@")
	var in io.Reader
	switch {
	case !isFile:
		return []byte(value), nil
	case path == "-":
		in = &interruptible{cmd.Context(), sh.in}
	default:
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, maxSent+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--data: %w", err)
	case len(content) > maxSent:
		return nil, fmt.Errorf("--data: more than %d MiB", maxSent>>20)
	}
	return content, nil
}

// write writes the answer. What a terminal shows has no control characters: a
// service could write into them what it likes.
func (o *curlOptions) write(sh *shell, response *http.Response) error {
	if o.include {
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s\n", response.Proto, response.Status)
		for _, name := range slices.Sorted(maps.Keys(response.Header)) {
			for _, value := range response.Header[name] {
				fmt.Fprintf(&head, "%s: %s\n", name, value)
			}
		}
		for line := range strings.Lines(head.String()) {
			fmt.Fprintln(sh.out, printable(strings.TrimSuffix(line, "\n")))
		}
		fmt.Fprintln(sh.out)
	}
	var out io.Writer = sh.out
	if o.output != "" {
		file, err := os.Create(string(o.output))
		if err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		defer file.Close()
		out = file
	}
	var err error
	if o.output == "" && isTerminal(sh.out.Writer) {
		err = writeLines(out, response.Body)
	} else {
		_, err = io.Copy(out, response.Body)
	}
	if err != nil && sh.out.err == nil {
		fmt.Fprintln(sh.err, "persauth: the answer broke off")
		return exitStatus(exitUnknown)
	}
	return nil
}

// writeLines writes text for a terminal, in bounded memory however long a line is.
func writeLines(out io.Writer, in io.Reader) error {
	r := bufio.NewReaderSize(in, readSize)
	for {
		line, err := r.ReadSlice('\n')
		text, feed := strings.CutSuffix(string(line), "\n")
		if _, err := io.WriteString(out, printable(text)); err != nil {
			return err
		}
		if feed {
			fmt.Fprintln(out)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// noAnswer says why no answer came, in words that the service has no part in: it
// has seen the token.
func noAnswer(err error) error {
	if own := new(persauthclient.Error); errors.As(err, &own) {
		return own
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("no answer in time: see --max-time")
	}
	return redact.Error(err)
}
