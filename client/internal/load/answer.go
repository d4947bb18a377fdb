package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxAnswer bounds the body of an answer, in bytes, as client.MaxResponse does.
const maxAnswer = 8 << 20

// An answer is what came back.
type answer struct {
	status int
	told   bool          // how long the node wants to be left alone
	retry  time.Duration // that
	date   time.Time     // the node's clock, zero if it does not say
	body   []byte
}

// A refusal is an answer that is an error, which nobody changes.
type refusal struct {
	answer
	err *wire.Error
}

// A head is what the head of an answer says of its body and its connection.
type head struct {
	length  int // of the body, -1 if it does not say
	chunked bool
	keep    bool // the connection can go on
}

// readAnswer reads one answer of HTTP/1.1 (RFC 9112). It knows the headers that
// matter here, and allocates the body alone. keep says whether the connection can
// go on.
func readAnswer(in *bufio.Reader) (a answer, keep bool, err error) {
	a, h, err := readHead(in)
	if err != nil {
		return a, false, err
	}
	a.body, err = h.body(in)
	return a, h.keep && h.length >= 0 && !h.chunked, err
}

// readHead reads an answer up to its body.
func readHead(in *bufio.Reader) (a answer, h head, err error) {
	line, err := readLine(in)
	if err != nil {
		return a, h, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return a, h, fmt.Errorf("what came back is not HTTP: %q", line[:min(len(line), 40)])
	}
	if a.status = number(line[9:12]); a.status < 200 {
		return a, h, fmt.Errorf("what came back has the status %q", line[9:12])
	}
	h = head{length: -1, keep: line[7] == '1'}
	for {
		if line, err = readLine(in); err != nil {
			return a, h, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "Content-Length"):
			if h.length = number(value); h.length < 0 || h.length > maxAnswer {
				return a, h, fmt.Errorf("what came back has the length %q", value)
			}
		case is(name, "Transfer-Encoding"):
			h.chunked = true
		case is(name, "Connection"):
			h.keep = h.keep && !is(value, "close")
		case is(name, "Retry-After"):
			if seconds := number(value); seconds >= 0 { // a date is not what a node sends
				a.told, a.retry = true, time.Duration(seconds)*time.Second
			}
		case is(name, "Date"):
			a.date, _ = http.ParseTime(string(value)) // malformed: zero
		}
	}
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		h.length, h.chunked = 0, false // whatever else it says
	}
	return a, h, nil
}

// body reads a body of a known length, in chunks, or up to the end.
func (h *head) body(in *bufio.Reader) (body []byte, err error) {
	if h.length >= 0 && !h.chunked {
		body = make([]byte, h.length)
		_, err = io.ReadFull(in, body)
		return body, err
	}
	var r io.Reader = in
	if h.chunked {
		r = httputil.NewChunkedReader(in)
	}
	if body, err = io.ReadAll(io.LimitReader(r, maxAnswer+1)); err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("what came back is longer than %d bytes", maxAnswer)
	}
	return body, err
}

// readLine reads a line without its end; it is good until the next read.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// is reports whether b is a word, in any case.
func is(b []byte, word string) bool { return len(b) == len(word) && bytes.EqualFold(b, []byte(word)) }

// number reads a number that is not negative, or returns -1.
func number(b []byte) int {
	n, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}
