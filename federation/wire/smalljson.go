package wire

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON of a browser. The library that everybody else uses is a fifth of what a browser
// would have to load, and most of it is for what DecodeJSON refuses. This is the rest: it
// writes and reads what the library does, with the options of EncodeJSON and DecodeJSON,
// for the types that stand in the APIs (TestSmallJSON, FuzzSmallJSON).

// marshalSmallJSON writes v.
func marshalSmallJSON(v any) ([]byte, error) { return appendSmallJSON(nil, reflect.ValueOf(v)) }

func appendSmallJSON(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return append(b, "null"...), nil
	}
	switch s := v.Interface().(type) {
	case Token: // secrets, which are written to API bodies alone
		return appendSmallQuote(b, s.Reveal()), nil
	case TOTPSecret:
		return appendSmallQuote(b, s.Reveal()), nil
	case FactorCode:
		return appendSmallQuote(b, s.Reveal()), nil
	case encoding.TextMarshaler:
		text, err := s.MarshalText()
		return appendSmallQuote(b, string(text)), err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return appendSmallJSON(b, v.Elem())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return b, errors.New("invalid UTF-8")
		}
		return appendSmallQuote(b, v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"'), nil
		}
		return appendSmallList(b, v)
	case reflect.Struct:
		return appendSmallObject(b, v)
	}
	return b, fmt.Errorf("%s has no JSON", v.Type())
}

func appendSmallList(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendSmallJSON(b, v.Index(i)); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendSmallObject(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	first := true
	for _, f := range membersOf(v.Type()).list {
		member := v.FieldByIndex(f.index)
		if f.omitZero && isZero(member) {
			continue
		}
		before := len(b)
		if !first {
			b = append(b, ',')
		}
		b = append(appendSmallQuote(b, f.name), ':')
		start := len(b)
		if b, err = appendSmallJSON(b, member); err != nil {
			return b, err
		}
		if f.omitEmpty && isEmptyJSON(string(b[start:])) {
			b = b[:before]
			continue
		}
		first = false
	}
	return append(b, '}'), nil
}

func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		return z.IsZero()
	}
	return v.IsZero()
}

func isEmptyJSON(s string) bool { return s == `null` || s == `""` || s == `[]` || s == `{}` }

// appendSmallQuote writes valid UTF-8 as a JSON string, in as few bytes as it has to.
func appendSmallQuote(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		default:
			if short := strings.IndexByte("\b\f\n\r\t", c); short >= 0 {
				b = append(b, '\\', "bfnrt"[short])
			} else {
				b = fmt.Appendf(b, "\\u%04x", c)
			}
		}
	}
	return append(b, '"')
}

// members are the fields of a struct, those of embedded ones among them.
type members struct {
	list   []member
	byName map[string]int // index in list
}

type member struct {
	name                string
	index               []int
	omitZero, omitEmpty bool
}

var knownMembers sync.Map // of reflect.Type, *members

func membersOf(t reflect.Type) *members {
	if m, ok := knownMembers.Load(t); ok {
		return m.(*members)
	}
	m := &members{byName: make(map[string]int)}
	m.add(t, nil)
	knownMembers.Store(t, m)
	return m
}

func (m *members) add(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			m.add(f.Type, index)
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			m.byName[name] = len(m.list)
			m.list = append(m.list, member{name, index, options == "omitzero", options == "omitempty"})
		}
	}
}

// unmarshalSmallJSON reads b into v.
func unmarshalSmallJSON(b []byte, v any) error {
	r := &jsonReader{b: b}
	err := r.value(reflect.ValueOf(v).Elem())
	if err == nil {
		if r.space(); r.i < len(b) {
			err = r.wrong()
		}
	}
	return err
}

// A jsonReader reads one JSON text.
type jsonReader struct {
	b  []byte
	i  int
	at []string // the names and numbers that lead to the value that is read
}

// wrong is the error about the value that is read.
func (r *jsonReader) wrong() error {
	where := "body"
	if len(r.at) > 0 {
		escape := strings.NewReplacer("~", "~0", "/", "~1")
		where = ""
		for _, at := range r.at {
			where += "/" + escape.Replace(at)
		}
		where = clip(where)
	}
	return Errorf(Invalid, where, "not the expected JSON")
}

func (r *jsonReader) space() {
	for r.i < len(r.b) && strings.IndexByte(" \t\r\n", r.b[r.i]) >= 0 {
		r.i++
	}
}

// take reads c behind white space, if it is there.
func (r *jsonReader) take(c byte) bool {
	r.space()
	if r.i < len(r.b) && r.b[r.i] == c {
		r.i++
		return true
	}
	return false
}

func (r *jsonReader) value(v reflect.Value) error {
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, err := r.text()
		if err != nil {
			return err
		}
		return r.unwrap(text.UnmarshalText([]byte(s)))
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem())
	case reflect.Struct:
		return r.object(v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return r.bytes(v)
		}
		return r.list(v)
	case reflect.String:
		s, err := r.text()
		v.SetString(s)
		return err
	case reflect.Bool:
		return r.truth(v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(r.number(), 10, v.Type().Bits())
		if err != nil {
			return r.wrong()
		}
		v.SetInt(n)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(r.number(), 10, v.Type().Bits())
		if err != nil {
			return r.wrong()
		}
		v.SetUint(n)
		return nil
	}
	panic("wire: " + v.Type().String() + " has no JSON")
}

// unwrap is an error of this package as it is, and any other one as that of the value.
func (r *jsonReader) unwrap(err error) error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	}
	return r.wrong()
}

// number reads an integer in its one spelling, or returns what is none.
func (r *jsonReader) number() string {
	r.space()
	start := r.i
	for r.i < len(r.b) && (r.b[r.i] == '-' || r.b[r.i] >= '0' && r.b[r.i] <= '9') {
		r.i++
	}
	s := string(r.b[start:r.i])
	if digits := strings.TrimPrefix(s, "-"); !plainInteger(s) || len(digits) > 1 && digits[0] == '0' {
		return ""
	}
	return s
}

func (r *jsonReader) truth(v reflect.Value) error {
	r.space()
	for _, is := range []bool{true, false} {
		if word := strconv.FormatBool(is); strings.HasPrefix(string(r.b[r.i:min(len(r.b), r.i+5)]), word) {
			r.i += len(word)
			v.SetBool(is)
			return nil
		}
	}
	return r.wrong()
}

func (r *jsonReader) bytes(v reflect.Value) error {
	s, err := r.text()
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return r.wrong()
	}
	v.SetBytes(b)
	return nil
}

func (r *jsonReader) list(v reflect.Value) error {
	if !r.take('[') {
		return r.wrong()
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	if r.take(']') {
		return nil
	}
	for {
		r.at = append(r.at, strconv.Itoa(v.Len()))
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := r.value(v.Index(v.Len() - 1)); err != nil {
			return err
		}
		r.at = r.at[:len(r.at)-1]
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return r.wrong()
		}
	}
}

func (r *jsonReader) object(v reflect.Value) error {
	if !r.take('{') {
		return r.wrong()
	}
	if r.take('}') {
		return nil
	}
	all := membersOf(v.Type())
	seen := make([]bool, len(all.list))
	for {
		name, err := r.text()
		if err != nil {
			return err
		}
		r.at = append(r.at, name)
		n, known := all.byName[name]
		if !known || seen[n] || !r.take(':') {
			return r.wrong()
		}
		seen[n] = true
		if err := r.value(v.FieldByIndex(all.list[n].index)); err != nil {
			return err
		}
		r.at = r.at[:len(r.at)-1]
		if r.take('}') {
			return nil
		}
		if !r.take(',') {
			return r.wrong()
		}
	}
}

// text reads a string: valid UTF-8 without NUL.
func (r *jsonReader) text() (string, error) {
	if !r.take('"') {
		return "", r.wrong()
	}
	var s []byte
	for r.i < len(r.b) {
		c := r.b[r.i]
		r.i++
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				return "", r.wrong()
			}
			return string(s), nil
		case c < ' ':
			return "", r.wrong()
		case c != '\\':
			s = append(s, c)
		default:
			char, ok := r.escaped()
			if !ok {
				return "", r.wrong()
			}
			s = utf8.AppendRune(s, char)
		}
	}
	return "", r.wrong()
}

// escaped reads what stands behind a backslash.
func (r *jsonReader) escaped() (rune, bool) {
	if r.i == len(r.b) {
		return 0, false
	}
	c := r.b[r.i]
	r.i++
	if c == 'u' {
		return r.unicode()
	}
	at := strings.IndexByte(`"\/bfnrt`, c)
	if at < 0 {
		return 0, false
	}
	return rune("\"\\/\b\f\n\r\t"[at]), true
}

// unicode reads four hexadecimal digits, and with a surrogate the other one.
func (r *jsonReader) unicode() (rune, bool) {
	one, ok := r.unit()
	if !ok || one == 0 || !utf16.IsSurrogate(one) {
		return one, ok && one != 0
	}
	if !strings.HasPrefix(string(r.b[r.i:min(len(r.b), r.i+2)]), `\u`) {
		return 0, false
	}
	r.i += 2
	two, ok := r.unit()
	both := utf16.DecodeRune(one, two)
	return both, ok && both != utf8.RuneError
}

func (r *jsonReader) unit() (rune, bool) {
	if len(r.b)-r.i < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.b[r.i:r.i+4]), 16, 16)
	r.i += 4
	return rune(n), err == nil
}
