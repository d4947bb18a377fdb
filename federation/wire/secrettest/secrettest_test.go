package secrettest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Types that hide a secret more or less well.
type (
	goodKey struct{ get func() [32]byte }
	rawKey  [32]byte
	textKey string
	fmtKey  struct{ b [32]byte } // fmt asks its method, unless the field that it stands in is closed
	logKey  struct {
		goodKey
		B []byte
	}
	noSpell struct{ goodKey }
)

func (goodKey) Format(f fmt.State, _ rune)         { io.WriteString(f, Redacted) }
func (fmtKey) Format(f fmt.State, _ rune)          { io.WriteString(f, Redacted) }
func (noSpell) MarshalText() ([]byte, error)       { return []byte("own spelling"), nil }
func (rawKey) Error() string                       { return Redacted }
func (k textKey) String() string                   { return Redacted }
func (textKey) MarshalText() (b []byte, err error) { return b, nil }

// TestTable shows that each way to let a secret out is found.
func TestTable(t *testing.T) {
	good := goodKey{func() [32]byte { return Secret }}
	for _, test := range []struct {
		name     string
		table    Table
		sounding []string
		want     []string // parts of faults; none for no fault at all
	}{
		{"hidden", Table{Secrets: []any{good}, Open: []string{"PublicKey"}}, []string{"goodKey", "PublicKey"}, nil},
		{"held", Table{Holders: []any{struct{ K goodKey }{good}}}, nil, nil},
		{"forgotten", Table{Secrets: []any{good}}, []string{"newKey", "T.Token"}, []string{"newKey sounds like", "T.Token sounds like"}},
		{"raw bytes", Table{Secrets: []any{rawKey(Secret)}}, nil, []string{"rawKey with %x", "a log holds", "JSON holds", "CBOR holds", "compared"}},
		{"a string", Table{Secrets: []any{textKey(Secret[:])}}, nil, []string{"textKey with %#v", "%#v holds", "compared"}},
		{"in a closed field", Table{Secrets: []any{fmtKey{Secret}}}, nil, []string{"%v holds", "%d holds", "compared"}},
		{"in an open field", Table{Secrets: []any{logKey{good, Secret[:]}}}, nil, []string{"a log holds", "CBOR holds", "gob holds"}},
		{"spelled", Table{Secrets: []any{noSpell{good}}, Spelled: []string{"own spelling"}}, nil, []string{"JSON holds", "a log holds"}},
		{"held in the open", Table{Holders: []any{struct{ K rawKey }{rawKey(Secret)}}}, nil, []string{"%v holds"}},
	} {
		got := test.table.faults(test.sounding)
		for _, want := range test.want {
			if !slices.ContainsFunc(got, func(fault string) bool { return strings.Contains(fault, want) }) {
				t.Errorf("%s: got no fault with %q", test.name, want)
			}
		}
		if test.want == nil && len(got) > 0 {
			t.Errorf("%s: got faults %q, want none", test.name, got)
		}
	}
}

// TestNames shows what sounds like a secret.
func TestNames(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "a.go", `package p
type ChainKey struct{}
type Secrets struct { Root [32]byte }
type Alias = ChainKey
type hidden = []byte
type Keyboard struct { Token string; Password wire.Bytes; seed *[32]byte; Done Token; Code int; Words []string }
func f() { type loginSeed []byte }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ChainKey", "Secrets", "Keyboard.Token", "Keyboard.Password", "Keyboard.seed", "loginSeed"}
	if got := Names(file); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
