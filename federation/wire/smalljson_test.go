package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

// alike has both readers read b as a type, and wants one result, which both write alike.
func alike(t *testing.T, b []byte, as reflect.Type) {
	t.Helper()
	want, got := reflect.New(as), reflect.New(as)
	err1, err2 := unmarshalJSON(b, want.Interface()), unmarshalSmallJSON(b, got.Interface())
	if KindOf(err1) != KindOf(err2) || (err1 == nil) != (err2 == nil) {
		t.Errorf("%s from %q: %v, want %v", as, clip(string(b)), err2, err1)
		return
	}
	if err1 != nil {
		if len(err2.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err2.Error()))
		}
		return
	}
	written1, err1 := marshalJSON(want.Interface())
	written2, err2 := marshalSmallJSON(got.Interface())
	if err1 != nil || err2 != nil || !bytes.Equal(written1, written2) {
		t.Errorf("%s from %q: written as %s (%v), want %s (%v)", as, clip(string(b)), written2, err2, written1, err1)
	}
}

// jsonTexts are texts of the vectors, and what is refused.
func jsonTexts(t testing.TB) (texts []string) {
	b, err := os.ReadFile("../../docs/vectors/json.json")
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			var raw []byte
			if _, err := fmt.Sscanf(v, "%x", &raw); err == nil {
				texts = append(texts, string(raw))
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(all)
	for _, bad := range badJSON() {
		texts = append(texts, bad...)
	}
	return texts
}

// What a browser reads and writes is what everybody else does: for each body of the APIs,
// whole and with bytes of it changed, cut out and put in.
func TestSmallJSON(t *testing.T) {
	texts := jsonTexts(t)
	if len(texts) < 50 {
		t.Errorf("only %d texts", len(texts))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, v := range apiTypes() {
		as := reflect.TypeOf(v).Elem()
		alike(t, []byte(`{}`), as)
		full := reflect.New(as)
		fill(full.Elem())
		b, err := marshalJSON(full.Interface())
		if err != nil {
			t.Fatal(err)
		}
		alike(t, b, as)
		for range 2000 {
			alike(t, changed(r, b), as)
		}
		for _, text := range texts {
			alike(t, []byte(text), as)
		}
	}
	for _, text := range texts {
		alike(t, []byte(text), reflect.TypeFor[jsonBody]())
		alike(t, []byte(`{"detail":`+text+`}`), reflect.TypeFor[Problem]())
		quoted, _ := json.Marshal(text)
		alike(t, []byte(`{"detail":`+string(quoted)+`}`), reflect.TypeFor[Problem]())
	}
}

// changed is b with a few bytes changed.
func changed(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	marks := []byte(`{}[]",:\/u0123456789-+.eEtrufalsn ` + "\x00\x1f\x7f\x80\xc3\xff\t\n\r")
	for range 1 + r.IntN(3) {
		at := r.IntN(len(b) + 1)
		switch r.IntN(4) {
		case 0:
			b = append(b[:at:at], append([]byte{marks[r.IntN(len(marks))]}, b[at:]...)...)
		case 1:
			end := min(len(b), at+1+r.IntN(8))
			b = append(b[:at:at], b[end:]...)
		case 2:
			if at < len(b) {
				b[at] = marks[r.IntN(len(marks))]
			}
		case 3: // once more
			end := min(len(b), at+r.IntN(40))
			b = append(b[:end:end], b[at:]...)
		}
	}
	return b
}

// A text of each character, written and read.
func TestSmallJSONText(t *testing.T) {
	for c := rune(0); c < 0x11000; c++ {
		p := Problem{Detail: "a" + string(c) + "b"}
		want, _ := marshalJSON(p)
		got, err := marshalSmallJSON(p)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x: %s, %v, want %s", c, got, err, want)
		}
		alike(t, want, reflect.TypeFor[Problem]())
	}
	for _, one := range []string{`\ud800`, `\udc00`, `\ud800\ud800`, `\ud83d\ude00`, `\ud83d\u0041`, `\ud83dA`, `\uD83D\uDE00`, `\u00`, `\u00g0`, `\x41`, `\`, `\"`, `\/`, `\b\f\n\r\t`, `\ufffd`, `\u0000`, `\u+123`} {
		alike(t, []byte(`{"detail":"`+one+`"}`), reflect.TypeFor[Problem]())
		alike(t, []byte(`{"`+one+`":"x"}`), reflect.TypeFor[Problem]())
	}
	for _, bad := range []string{"\xff", "\xed\xa0\x80", "\xc0\x80"} {
		if _, err := marshalSmallJSON(Problem{Detail: bad}); err == nil {
			t.Errorf("%q is written", bad)
		}
		alike(t, []byte(`{"detail":"`+bad+`"}`), reflect.TypeFor[Problem]())
	}
}

// An error names the member that is meant, as the library does.
func TestSmallJSONPlace(t *testing.T) {
	for text, want := range map[string]string{
		`{"vault":{"head":1}}`: "/vault/head", `[]`: "body", `{"nope":1}`: "/nope", `{} {}`: "body", `{"vault":{"a~b/c":1}}`: "/vault/a~0b~1c",
	} {
		err := unmarshalSmallJSON([]byte(text), new(RegisterRequest))
		if e, ok := err.(*Error); !ok || e.Field != want {
			t.Errorf("%s: %v, want it at %s", text, err, want)
		}
	}
	err := unmarshalSmallJSON([]byte(`{"`+strings.Repeat("x", 5000)+`":1}`), new(RegisterRequest))
	if len(err.Error()) > 400 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func FuzzSmallJSON(f *testing.F) {
	for i, v := range apiTypes() {
		full := reflect.New(reflect.TypeOf(v).Elem())
		fill(full.Elem())
		f.Add(uint8(i), EncodeJSON(full.Interface()))
	}
	for _, text := range jsonTexts(f) {
		f.Add(uint8(0), []byte(text))
	}
	all := apiTypes()
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		alike(t, b, reflect.TypeOf(all[int(which)%len(all)]).Elem())
	})
}
