package wire

import (
	"bytes"
	"slices"
	"strconv"
)

// Both steps of a log-in are read and answered like a post, see publish.go: by
// cutting and joining the one spelling that EncodeJSON writes (TestLoginPlain).

// A plainJSON reads a text member by member. Whatever is otherwise in any way is
// left to the strict decoder.
type plainJSON struct {
	rest []byte
	odd  bool // something is otherwise
}

// is reads what has to stand there.
func (p *plainJSON) is(text string) {
	rest, ok := bytes.CutPrefix(p.rest, []byte(text))
	p.rest, p.odd = rest, p.odd || !ok
}

// text reads up to the end of a string that needs no escapes and holds ASCII alone.
func (p *plainJSON) text() []byte {
	s, rest, ok := bytes.Cut(p.rest, []byte{'"'})
	for _, c := range s {
		ok = ok && c >= ' ' && c < 0x7f && c != '\\'
	}
	p.rest, p.odd = rest, p.odd || !ok
	return s
}

// value reads text into v, a pointer to what is written so.
func (p *plainJSON) value(v interface{ UnmarshalText([]byte) error }) {
	if s := p.text(); !p.odd {
		p.odd = v.UnmarshalText(s) != nil
	}
}

// number reads an integer.
func (p *plainJSON) number() int64 {
	digits := len(p.rest) - len(bytes.TrimLeft(p.rest, "-0123456789"))
	s := string(p.rest[:digits])
	n, err := strconv.ParseInt(s, 10, 64)
	p.rest, p.odd = p.rest[digits:], p.odd || err != nil || !plainInteger(s) || strconv.FormatInt(n, 10) != s
	return n
}

// whole reports whether all was as EncodeJSON writes it, and nothing is left.
func (p *plainJSON) whole() bool { return !p.odd && len(p.rest) == 0 }

// asked reads who logs in, and how.
func (p *plainJSON) asked() (h Handle, purpose Purpose) {
	p.is(`{"handle":"`)
	p.value(&h)
	p.is(`,"purpose":"`)
	return h, Purpose(p.text())
}

func (r *ChallengeRequest) decodePlain(b []byte) bool {
	var c ChallengeRequest
	p := plainJSON{rest: b}
	c.Handle, c.Purpose = p.asked()
	if p.is(`}`); !p.whole() {
		return false
	}
	*r = c
	return true
}

func (r *LoginRequest) decodePlain(b []byte) bool {
	var c LoginRequest
	p := plainJSON{rest: b}
	c.Handle, c.Purpose = p.asked()
	p.is(`,"nonce":"`)
	p.value(&c.Nonce)
	p.is(`,"expires":`)
	c.Expires = p.number()
	p.is(`,"tag":"`)
	p.value(&c.Tag)
	p.is(`,"answer":"`)
	p.value(&c.Answer)
	p.is(`,"device":"`)
	c.Device = string(p.text())
	if bytes.HasPrefix(p.rest, []byte(`,`)) {
		p.is(`,"device_token":"`)
		c.DeviceToken = new(Token)
		p.value(c.DeviceToken)
	}
	if p.is(`}`); !p.whole() {
		return false
	}
	*r = c
	return true
}

// append is AppendJSON for the answer to the first step.
func (r *ChallengeReply) append(b []byte) []byte {
	b = append32(slices.Grow(b, 320), `{"random":"`, r.Random)
	b = strconv.AppendUint(append(b, `","argon2":{"memory_kib":`...), uint64(r.Argon2.Memory), 10)
	b = strconv.AppendUint(append(b, `,"time":`...), uint64(r.Argon2.Time), 10)
	b = strconv.AppendUint(append(b, `,"threads":`...), uint64(r.Argon2.Threads), 10)
	b = append32(b, `},"nonce":"`, r.Nonce)
	b = strconv.AppendInt(append(b, `","expires":`...), r.Expires, 10)
	return append(append32(b, `,"tag":"`, r.Tag), `"}`...)
}

// append is AppendJSON for the answer to the second.
func (r *LoginReply) append(b []byte) []byte {
	b = append32(slices.Grow(b, 256), `{"account":"`, r.Account)
	b = append32(b, `","token":"`, r.Token.bytes())
	b = append32(b, `","device_token":"`, r.DeviceToken.bytes())
	return append(strconv.AppendInt(append(b, `","expires":`...), r.Expires, 10), '}')
}

// append32 writes what has to stand there, and 32 bytes as encode32 does.
func append32(b []byte, before string, v [32]byte) []byte {
	return AppendID(append(b, before...), v)
}
