package main

// The client: connections that ask one thing after the other, as a proxy's do,
// and do little themselves.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// request is what a proxy asks about an order of a business.
func request(path, token string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer %s\r\n"+
		"X-Original-Method: GET\r\nX-Original-URI: /businesses/%s/orders?page=2\r\n\r\n", path, token, business)
}

// turns gives one request after the other to all who ask.
type turns struct {
	requests [][]byte
	next     atomic.Uint64
}

func (t *turns) take() []byte { return t.requests[(t.next.Add(1)-1)%uint64(len(t.requests))] }

// load keeps connections busy for a time, and returns how many answers came. An
// answer with another status is an error.
func load(ctx context.Context, addr string, conns int, each time.Duration, t *turns) (answers int, err error) {
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	var total atomic.Int64
	failed := make([]error, conns)
	var clients sync.WaitGroup
	for i := range conns {
		clients.Go(func() {
			n, err := talk(ctx, addr, t)
			total.Add(int64(n))
			failed[i] = err
		})
	}
	clients.Wait()
	return int(total.Load()), errors.Join(failed...)
}

// talk asks on one connection until ctx ends.
func talk(ctx context.Context, addr string, t *turns) (answers int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for ctx.Err() == nil {
		if _, err := conn.Write(t.take()); err != nil {
			return answers, err
		}
		status, err := readAnswer(reader)
		if err != nil {
			return answers, err
		}
		if status < 200 || status > 299 {
			return answers, fmt.Errorf("an answer is %d", status)
		}
		answers++
	}
	return answers, nil
}

// readAnswer reads one answer, and returns its status.
func readAnswer(r *bufio.Reader) (status int, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			if len(line) < 12 {
				return 0, errors.New("an answer without a status")
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, err
			}
		case len(line) == 0:
			_, err = r.Discard(length)
			return status, err
		case bytes.EqualFold(line[:min(len(line), 15)], []byte("content-length:")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return 0, err
			}
		case bytes.EqualFold(line[:min(len(line), 18)], []byte("transfer-encoding:")):
			return 0, fmt.Errorf("an answer in chunks, which this client does not read: %w", io.ErrUnexpectedEOF)
		}
	}
}

// ask sends one request, and returns the status of the answer.
func ask(addr string, request []byte) (status int, err error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	return readAnswer(bufio.NewReader(conn))
}
