package main

// Tokens on their way in: from an argument, or a line at a time from standard
// input, in bounded memory however long a line is.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/internal/unverified"
	"github.com/spf13/cobra"
)

const (
	// maxToken is the longest token, in bytes, that the library looks at.
	maxToken = unverified.MaxSize
	// readSize is how much is read at once. It is more than maxToken, so that a
	// line that may be a token is always in the buffer as a whole.
	readSize = 64 << 10
)

// line is what was given in place of a token.
type line struct {
	token   string
	number  int   // from 1; 0: it is an argument
	refused error // why it is no token whatever is in it, and token is empty
}

// lines cuts input at line feeds, and nowhere else.
type lines struct {
	r      *bufio.Reader
	number int
}

// newLines reads r. Reading ends when ctx does.
func newLines(ctx context.Context, r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(&interruptible{ctx, r}, readSize)}
}

// ready reports whether there is a line that can be had without waiting.
func (l *lines) ready() bool {
	buffered, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(buffered, '\n') >= 0
}

// next returns the next line without its line feed. A line that is too long is
// read to its end, and not kept. The error is io.EOF at the end.
func (l *lines) next() (line, error) {
	text, err := l.r.ReadSlice('\n')
	size := len(text)
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = l.r.ReadSlice('\n')
		size += len(text)
	}
	if err == nil {
		size-- // the line feed
	} else if !errors.Is(err, io.EOF) || size == 0 {
		return line{}, err
	}
	l.number++
	if size > maxToken && (size > maxObject || !bytes.HasPrefix(text, []byte("{"))) {
		return line{number: l.number, refused: &persauth.Error{Check: "size", Want: fmt.Sprintf("at most %d bytes", maxToken),
			Got: fmt.Sprintf("%d bytes", size), Err: persauth.ErrMalformed}}, nil
	}
	return line{number: l.number, token: string(text[:size])}, nil
}

// errNoInput keeps a pipeline from passing whose first command failed.
var errNoInput = errors.New("standard input had no token: the command that should write them has failed, perhaps")

// tokens calls do for the token in args, or else for each line of standard
// input that is not blank, without the white space around it. The error is
// errNoInput where there is no such line.
func (sh *shell) tokens(ctx context.Context, args []string, do func(line) error) error {
	if len(args) == 1 && args[0] != "-" {
		return do(line{token: args[0]})
	}
	if sh.typed {
		fmt.Fprintln(sh.err, "Reading tokens from standard input, one a line.")
	}
	in, found := newLines(ctx, sh.in), false
	for {
		l, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("standard input cannot be read: %w", err)
		}
		l.token = string(bytes.TrimSpace([]byte(l.token)))
		if l.token == "" && l.refused == nil {
			continue
		}
		found = true
		if err := do(l); err != nil {
			return err
		}
	}
	if !found {
		return errNoInput
	}
	return nil
}

// oneToken takes one argument at most. The error repeats none: they are tokens,
// but for the name of a file, of which no token has one.
func oneToken(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("want one token at most, and got %d arguments; standard input takes any number\nsee: %s --help",
			len(args), cmd.CommandPath())
	case len(args) == 1 && args[0] != "-":
		if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
			return fmt.Errorf("the argument is a file, and not a token; tokens in a file are read from standard input: %s < %s",
				cmd.CommandPath(), shellWord(args[0]))
		}
	}
	return nil
}

// shellWord quotes a word for a shell, where it needs that.
func shellWord(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@+,%", r)
	}
	if strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// interruptible is a reader that stops waiting when ctx ends. The read that is
// under way then cannot be stopped, and is left behind: after the error neither the
// reader nor the buffer may be used again.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := i.r.Read(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
