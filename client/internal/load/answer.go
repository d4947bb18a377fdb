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

// readAnswer reads one answer of HTTP/1.1 (RFC 9112). It knows the headers that
// matter here, and allocates the body alone. keep says whether the connection can
// go on.
func readAnswer(in *bufio.Reader) (a answer, keep bool, err error) {
	line, err := readLine(in)
	if err != nil {
		return a, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return a, false, fmt.Errorf("what came back is not HTTP: %q", line[:min(len(line), 40)])
	}
	if a.status = number(line[9:12]); a.status < 200 {
		return a, false, fmt.Errorf("what came back has the status %q", line[9:12])
	}
	keep = line[7] == '1'
	length, chunked := -1, false
	for {
		if line, err = readLine(in); err != nil {
			return a, false, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "Content-Length"):
			if length = number(value); length < 0 || length > maxAnswer {
				return a, false, fmt.Errorf("what came back has the length %q", value)
			}
		case is(name, "Transfer-Encoding"):
			chunked = true
		case is(name, "Connection"):
			keep = keep && !is(value, "close")
		case is(name, "Retry-After"):
			if seconds := number(value); seconds >= 0 { // a date is not what a node sends
				a.told, a.retry = true, time.Duration(seconds)*time.Second
			}
		case is(name, "Date"):
			a.date, _ = http.ParseTime(string(value)) // malformed: zero
		}
	}
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		length, chunked = 0, false // whatever else it says
	}
	a.body, err = readBody(in, length, chunked)
	return a, keep && length >= 0 && !chunked, err
}

// readBody reads a body of a known length, in chunks, or up to the end.
func readBody(in *bufio.Reader, length int, chunked bool) (body []byte, err error) {
	if length >= 0 && !chunked {
		body = make([]byte, length)
		_, err = io.ReadFull(in, body)
		return body, err
	}
	var r io.Reader = in
	if chunked {
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
