package persauthlambda

// A function of an http.Handler: events in, requests out, and the other way round.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// Handler makes a function of a handler. It takes the events of REST APIs and HTTP
// APIs of API Gateway (both formats), of function URLs, and of Application Load
// Balancers. An event of another kind is an error.
//
// A header that came twice is there twice where the event tells. Where it does not
// (a load balancer without multi-value headers keeps the last one; HTTP APIs join
// them with a comma), it is what the event has. The handler's answer is sent as a
// whole, when it returns.
func Handler(h http.Handler) lambda.Handler { return function{h} }

type function struct{ handler http.Handler }

// Invoke answers one event.
func (f function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var kind struct {
		Version        string `json:"version"`
		HTTPMethod     string `json:"httpMethod"`
		RequestContext struct {
			ELB        *json.RawMessage `json:"elb"`
			Connection string           `json:"connectionId"` // of a WebSocket
			HTTP       struct {
				Method string `json:"method"`
			} `json:"http"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &kind); err != nil {
		return nil, errNoRequest
	}
	switch {
	case kind.RequestContext.Connection != "":
		return nil, errNoRequest
	case kind.Version == "2.0" && kind.RequestContext.HTTP.Method != "":
		return serve(ctx, f.handler, payload, requestV2, answerV2)
	case kind.RequestContext.ELB != nil:
		return serve(ctx, f.handler, payload, requestALB, answerALB)
	case kind.HTTPMethod != "":
		return serve(ctx, f.handler, payload, requestV1, answerV1)
	}
	return nil, errNoRequest
}

var errNoRequest = errors.New("persauthlambda: the event is no HTTP request")

// incoming is what all events have.
type incoming struct {
	method, path, query, host, remote string
	single                            map[string]string
	multiple                          map[string][]string // in place of single, where it is there
	cookies                           []string
	body                              string
	base64                            bool
}

// serve answers one event of type E.
func serve[E any](ctx context.Context, h http.Handler, payload []byte, read func(*E) incoming, answer func(*E, *response) any) ([]byte, error) {
	event := new(E)
	if err := json.Unmarshal(payload, event); err != nil {
		return nil, errNoRequest
	}
	r, err := read(event).request(ctx)
	if err != nil {
		return nil, err
	}
	w := &response{header: http.Header{}}
	h.ServeHTTP(w, r)
	w.end()
	return json.Marshal(answer(event, w))
}

// request makes the request.
func (in incoming) request(ctx context.Context) (*http.Request, error) {
	body := []byte(in.body)
	if in.base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(in.body); err != nil {
			return nil, errors.New("persauthlambda: the body of the event is not base64")
		}
	}
	header := http.Header{}
	if in.multiple != nil {
		for name, values := range in.multiple {
			for _, value := range values {
				header.Add(name, value)
			}
		}
	} else {
		for name, value := range in.single {
			header.Add(name, value)
		}
	}
	if len(in.cookies) > 0 {
		header.Set("Cookie", strings.Join(in.cookies, "; "))
	}
	host := header.Get("Host")
	if host == "" {
		host = in.host
	}
	header.Del("Host") // as net/http has it
	target := in.path
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if in.query != "" {
		target += "?" + in.query
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, errors.New("persauthlambda: the path of the event is none")
	}
	r, err := http.NewRequestWithContext(ctx, in.method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("persauthlambda: the method of the event is none")
	}
	r.URL, r.RequestURI, r.Host, r.Header = u, target, host, header
	if in.remote != "" {
		r.RemoteAddr = in.remote + ":0"
		if strings.Contains(in.remote, ":") {
			r.RemoteAddr = "[" + in.remote + "]:0"
		}
	}
	return r, nil
}

func requestV2(e *events.APIGatewayV2HTTPRequest) incoming {
	return incoming{method: e.RequestContext.HTTP.Method, path: e.RawPath, query: e.RawQueryString, host: e.RequestContext.DomainName,
		remote: e.RequestContext.HTTP.SourceIP, single: e.Headers, cookies: e.Cookies, body: e.Body, base64: e.IsBase64Encoded}
}

func requestV1(e *events.APIGatewayProxyRequest) incoming {
	query := url.Values(e.MultiValueQueryStringParameters)
	if query == nil {
		query = url.Values{}
		for name, value := range e.QueryStringParameters {
			query.Set(name, value)
		}
	}
	return incoming{method: e.HTTPMethod, path: e.Path, query: query.Encode(), host: e.RequestContext.DomainName,
		remote: e.RequestContext.Identity.SourceIP, single: e.Headers, multiple: e.MultiValueHeaders, body: e.Body, base64: e.IsBase64Encoded}
}

func requestALB(e *events.ALBTargetGroupRequest) incoming {
	var query []string // a load balancer passes it on as it came
	add := func(name, value string) { query = append(query, name+"="+value) }
	for name, values := range e.MultiValueQueryStringParameters {
		for _, value := range values {
			add(name, value)
		}
	}
	if e.MultiValueQueryStringParameters == nil {
		for name, value := range e.QueryStringParameters {
			add(name, value)
		}
	}
	return incoming{method: e.HTTPMethod, path: e.Path, query: strings.Join(query, "&"), single: e.Headers,
		multiple: e.MultiValueHeaders, body: e.Body, base64: e.IsBase64Encoded}
}

// response is an http.ResponseWriter that keeps the answer.
type response struct {
	header http.Header
	sent   http.Header // nil until the status is written
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.sent == nil && status >= 200 { // what comes before the answer is not sent
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	return w.body.Write(p)
}

// Flush sends nothing: the answer goes as a whole.
func (w *response) Flush() { w.WriteHeader(http.StatusOK) }

// end completes the answer as net/http does.
func (w *response) end() {
	w.WriteHeader(http.StatusOK)
	if w.sent == nil {
		w.sent = http.Header{}
	}
	if w.body.Len() > 0 && w.sent.Get("Content-Type") == "" {
		w.sent.Set("Content-Type", http.DetectContentType(w.body.Bytes()))
	}
}

// text returns the body, in base64 where it is no text.
func (w *response) text() (body string, encoded bool) {
	if w.sent.Get("Content-Encoding") == "" && utf8.Valid(w.body.Bytes()) {
		return w.body.String(), false
	}
	return base64.StdEncoding.EncodeToString(w.body.Bytes()), true
}

// joined returns the headers with one value each.
func (w *response) joined() map[string]string {
	all := make(map[string]string, len(w.sent))
	for name, values := range w.sent {
		all[name] = strings.Join(values, ", ")
	}
	return all
}

func answerV2(_ *events.APIGatewayV2HTTPRequest, w *response) any {
	cookies := w.sent.Values("Set-Cookie")
	w.sent.Del("Set-Cookie")
	body, encoded := w.text()
	return events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: w.joined(), Cookies: cookies, Body: body, IsBase64Encoded: encoded}
}

func answerV1(_ *events.APIGatewayProxyRequest, w *response) any {
	body, encoded := w.text()
	return events.APIGatewayProxyResponse{StatusCode: w.status, MultiValueHeaders: w.sent, Body: body, IsBase64Encoded: encoded}
}

func answerALB(e *events.ALBTargetGroupRequest, w *response) any {
	body, encoded := w.text()
	answer := events.ALBTargetGroupResponse{StatusCode: w.status, StatusDescription: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Body: body, IsBase64Encoded: encoded}
	if e.MultiValueHeaders != nil { // the target group says which of the two it takes
		answer.MultiValueHeaders = w.sent
	} else {
		answer.Headers = w.joined()
	}
	return answer
}
