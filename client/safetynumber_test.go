package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

const numberFile = "../docs/vectors/safety-number.json"

// numberVectors are people and their keys, the numbers of two, and what people type.
type numberVectors struct {
	About   string         `json:"about"`
	People  []numberPerson `json:"people"`
	Numbers []numberOfTwo  `json:"numbers"`
	Typed   []numberTyped  `json:"typed"`
	Refused []numberTyped  `json:"refused"`
}

type numberPerson struct {
	Name        string `json:"name"`
	Account     string `json:"account"`
	Identity    string `json:"identity"`
	Encryption  string `json:"encryption"`
	Fingerprint string `json:"fingerprint"`
	Once        string `json:"once"` // h[1]
	Last        string `json:"last"` // h[8192]
	Half        string `json:"half"`
}

type numberOfTwo struct {
	Name    string    `json:"name"`
	People  [2]string `json:"people"`
	Number  string    `json:"number"`
	Scanned string    `json:"scanned"`
}

type numberTyped struct {
	Name   string    `json:"name"`
	Typed  string    `json:"typed"`
	Number string    `json:"number,omitempty"`
	Error  wire.Kind `json:"error,omitempty"`
	Why    string    `json:"why,omitempty"`
}

// numberChain makes the chain that is the same in each run; change makes of the first
// statement the second, which the recovery key signs.
func numberChain(t testing.TB, handle wire.Handle, change func(k *wire.KeyStatement)) *keyservice.Chain {
	t.Helper()
	name := string(handle)
	identity, recovery := wire.NewIdentitySecret(fixed(name+" identity")), wire.NewRecoverySecret(fixed(name+" recovery"))
	first := &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: handle, Node: "node.example", Identity: identity.Public(),
		Encryption: numberKey(t, name+" encryption"), Recovery: recovery.Public(), RecoveryBox: wire.RecoveryEncryptionKey(numberKey(t, name+" recovery encryption")),
		SealedSelfKey: bytes.Repeat([]byte{0x5e}, wire.SelfKeySize), Signer: wire.ByIdentity, Created: 1_790_000_000_000,
	}
	signed, err := first.Sign(identity)
	if err != nil {
		t.Fatal(err)
	}
	statements := []wire.Signed{signed}
	if change != nil {
		next := *first
		next.Account, next.Seq, next.Prev, next.Signer = wire.AccountID(signed.Hash(wire.LabelKeyStatement)), 1, signed.Hash(wire.LabelKeyStatement), wire.ByRecovery
		change(&next)
		signed, err = next.SignRecovery(recovery)
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, signed)
	}
	chain, err := keyservice.ParseChain(statements)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func numberKey(t testing.TB, name string) wire.EncryptionKey {
	t.Helper()
	s := fixed(name)
	k, err := seal.EncryptionSecretFromSeed(s[:])
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func newIdentity(k *wire.KeyStatement) {
	k.Identity = wire.NewIdentitySecret(fixed("next identity")).Public()
}

// numberChains are the people of the vectors.
func numberChains(t testing.TB) (names []string, chains map[string]*keyservice.Chain) {
	encryption := numberKey(t, "next encryption")
	newEncryption := func(k *wire.KeyStatement) { k.Encryption = encryption }
	chains = map[string]*keyservice.Chain{
		"alice": numberChain(t, "alice", nil), "bob": numberChain(t, "bob", nil), "carol": numberChain(t, "carol", nil),
		"alice, another identity key":   numberChain(t, "alice", newIdentity),
		"alice, another encryption key": numberChain(t, "alice", newEncryption),
		"alice, another recovery code":  numberChain(t, "alice", func(k *wire.KeyStatement) { k.Recovery = wire.NewRecoverySecret(fixed("next recovery")).Public() }),
		"alice, both keys are new":      numberChain(t, "alice", func(k *wire.KeyStatement) { newIdentity(k); newEncryption(k) }),
		"bob, the same keys again":      numberChain(t, "bob", func(k *wire.KeyStatement) { k.Created++ }),
	}
	for name := range chains {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, chains
}

func makeNumberVectors(t testing.TB) numberVectors {
	v := numberVectors{About: "Safety numbers. The keys are those of the newest statement; account, keys, fingerprint and h[n] are hex. Numbers are those of two people in either order. " +
		"What is typed is read as the number, or refused; what is scanned can be typed too."}
	names, chains := numberChains(t)
	for _, name := range names {
		account, newest := chains[name].Account(), chains[name].Newest()
		f := fingerprint(account, newest)
		once, last := wire.LabelSafetyNumber.Hash(f[:], f[:]), f
		for range numberRounds {
			last = wire.LabelSafetyNumber.Hash(last[:], f[:])
		}
		v.People = append(v.People, numberPerson{
			name, hex.EncodeToString(account[:]), hex.EncodeToString(newest.Identity[:]), hex.EncodeToString(newest.Encryption[:]),
			hex.EncodeToString(f[:]), hex.EncodeToString(once[:]), hex.EncodeToString(last[:]), string(appendHalf(nil, f)),
		})
		for _, with := range []string{"bob", "carol"} {
			if other := chains[with]; other.Account() != account {
				n := safetyNumber(chains[name], other)
				v.Numbers = append(v.Numbers, numberOfTwo{"of " + name + " and " + with, [2]string{name, with}, n.String(), n.Scanned()})
			}
		}
	}
	n := safetyNumber(chains["alice"], chains["bob"])
	for name, typed := range typedNumbers(n) {
		v.Typed = append(v.Typed, numberTyped{Name: name, Typed: typed, Number: n.String()})
	}
	for why, typed := range refusedNumbers(n) {
		kind := wire.Invalid
		if strings.Contains(typed, "NUMBER 2") || strings.Contains(typed, "NUMBER :") || strings.HasSuffix(typed, "NUMBER ") {
			kind = wire.Update
		}
		v.Refused = append(v.Refused, numberTyped{Name: why, Typed: typed, Error: kind, Why: why})
	}
	byName := func(a, b numberTyped) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(v.Typed, byName)
	slices.SortFunc(v.Refused, byName)
	return v
}

// typedNumbers are the ways in which people write a number.
func typedNumbers(n SafetyNumber) map[string]string {
	groups := n.Groups()
	return map[string]string{
		"in groups":                        n.String(),
		"without spaces":                   strings.Join(groups, ""),
		"with dashes":                      strings.Join(groups, "-"),
		"with long dashes and hard spaces": strings.Join(groups, " \u2013\u00a0"),
		"in three lines":                   "\n  " + strings.Join(groups[:4], " ") + "\r\n  " + strings.Join(groups[4:8], " ") + "\n  " + strings.Join(groups[8:], " ") + "\n",
		"as scanned":                       n.Scanned(),
		"as scanned, in two lines":         strings.Replace(n.Scanned(), ": ", ":\n", 1),
	}
}

// refusedNumbers are not, by the reason.
func refusedNumbers(n SafetyNumber) map[string]string {
	all := strings.Join(n.Groups(), "")
	return map[string]string{
		"nothing":                              "",
		"59 digits":                            all[:59],
		"61 digits":                            all + "0",
		"only one half":                        all[:30],
		"a letter":                             "O" + all[1:],
		"digits of another script":             "\u0663" + all[1:],
		"a plus sign":                          "+" + all,
		"commas between the groups":            strings.Join(n.Groups(), ","),
		"a point at the end":                   n.String() + ".",
		"more than 256 bytes":                  strings.Repeat(" ", 257-len(all)) + all,
		"what is scanned, in lower case":       strings.ToLower(n.Scanned()),
		"what is scanned, in a later version":  strings.Replace(n.Scanned(), "NUMBER 1", "NUMBER 2", 1),
		"what is scanned, without a version":   strings.Replace(n.Scanned(), "NUMBER 1", "NUMBER ", 1),
		"what is scanned, without the number":  strings.TrimSuffix(n.Scanned(), "1: "+n.String()),
		"what is scanned, with the end cut":    n.Scanned()[:len(n.Scanned())-1],
		"words of another code before it":      "PEERBRAIN NUMBER 1: " + all,
		"a NUL":                                "\x00" + all,
		"what is no UTF-8 (0xff as it stands)": all[:30] + "\ufffd" + all[30:],
	}
}

// TestNumberVectors checks the frozen file against the code, reading nothing but the
// file, and that the generator still makes the same one.
func TestNumberVectors(t *testing.T) {
	var made bytes.Buffer
	e := json.NewEncoder(&made)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(makeNumberVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(filepath.FromSlash(numberFile), made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.FromSlash(numberFile))
	if err != nil {
		t.Fatalf("%v (go test ./client -run TestNumberVectors -update writes it)", err)
	}
	if !bytes.Equal(b, made.Bytes()) {
		t.Errorf("%s is not what the generator makes: either the numbers or the file were changed", numberFile)
	}
	var v numberVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	halves, accounts := make(map[string]string), make(map[string]string)
	for _, p := range v.People {
		f := fingerprint(wire.AccountID(unhex(t, p.Account)), &wire.KeyStatement{
			Identity: wire.IdentityKey(unhex(t, p.Identity)), Encryption: wire.EncryptionKey(unhex(t, p.Encryption)),
		})
		if half := string(appendHalf(nil, f)); hex.EncodeToString(f[:]) != p.Fingerprint || half != p.Half {
			t.Errorf("%s: fingerprint %x, half %s", p.Name, f, half)
		}
		halves[p.Name], accounts[p.Name] = p.Half, p.Account
	}
	for _, n := range v.Numbers {
		one, other := n.People[0], n.People[1]
		if accounts[one] > accounts[other] {
			one, other = other, one
		}
		got, err := ParseSafetyNumber(halves[one] + halves[other])
		if err != nil || got.String() != n.Number || got.Scanned() != n.Scanned {
			t.Errorf("%s: got %s, %v", n.Name, got, err)
		}
	}
	for _, c := range append(v.Typed, v.Refused...) {
		got, err := ParseSafetyNumber(c.Typed)
		if c.Error == "" && (err != nil || got.String() != c.Number) || c.Error != "" && !errors.Is(err, c.Error) {
			t.Errorf("%s: %q is %s, %v; want %s%s", c.Name, c.Typed, got, err, c.Number, c.Error)
		}
	}
	if len(v.People) < 5 || len(v.Numbers) < 5 || len(v.Typed) < 5 || len(v.Refused) < 10 {
		t.Error("there are too few cases to show anything")
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSafetyNumber: it is the same from both sides, another one for each other key
// that counts, and the same after a new recovery code.
func TestSafetyNumber(t *testing.T) {
	names, chains := numberChains(t)
	bob, carol := chains["bob"], chains["carol"]
	numbers := make(map[SafetyNumber]string)
	for _, name := range names {
		c := chains[name]
		if c.Account() == bob.Account() || c.Account() == carol.Account() {
			continue
		}
		n := safetyNumber(c, bob)
		if n != safetyNumber(bob, c) {
			t.Errorf("%s: another number from the other side", name)
		}
		if before, ok := numbers[n]; ok && name != "alice, another recovery code" {
			t.Errorf("%s: the number of %s", name, before)
		}
		numbers[n] = name
		if with := safetyNumber(c, carol); with == n || with.differs(n) < halfGroups {
			t.Errorf("%s: the number with carol, %s, is near that with bob, %s", name, with, n)
		}
		if n.differs(safetyNumber(chains["alice"], bob)) > halfGroups {
			t.Errorf("%s: bob's half is another one", name)
		}
	}
	if len(numbers) != 4 {
		t.Errorf("got %d numbers of alice and bob, want one for each of her four pairs of keys", len(numbers))
	}
	for n := range numbers {
		if groups := n.Groups(); len(groups) != 12 || len(strings.Join(groups, "")) != 60 {
			t.Errorf("%s has groups %q", n, groups)
		}
	}
}

// FuzzSafetyNumber: what is read as a number is 60 digits, and read as itself again.
func FuzzSafetyNumber(f *testing.F) {
	v := makeNumberVectors(f)
	for _, c := range append(v.Typed, v.Refused...) {
		f.Add(c.Typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		n, err := ParseSafetyNumber(typed)
		if err != nil {
			if n != (SafetyNumber{}) || !errors.Is(err, wire.Invalid) && !errors.Is(err, wire.Update) {
				t.Errorf("%q: %v with %s", typed, err, n)
			}
			return
		}
		if strings.Trim(string(n[:]), "0123456789") != "" {
			t.Errorf("%q is read as %s", typed, n)
		}
		for _, again := range []string{n.String(), n.Scanned()} {
			if m, err := ParseSafetyNumber(again); err != nil || m != n {
				t.Errorf("%q is read as %q, and that as %s, %v", typed, again, m, err)
			}
		}
	})
}

// TestQR: each number has a code of one size, with the three marks by which a camera
// finds it.
func TestQR(t *testing.T) {
	_, chains := numberChains(t)
	codes := make(map[string]bool)
	for _, name := range []string{"alice", "carol", "alice, another identity key"} {
		q := safetyNumber(chains[name], chains["bob"]).QR()
		if q.Size() != 33 {
			t.Fatalf("%s: %d modules", name, q.Size())
		}
		var rows strings.Builder
		for y := range q.Size() {
			for x := range q.Size() {
				rows.WriteByte(" #"[map[bool]int{true: 1}[q.Dark(x, y)]])
			}
		}
		codes[rows.String()] = true
		for _, at := range [][2]int{{0, 0}, {26, 0}, {0, 26}} {
			for y := range 7 {
				for x := range 7 {
					ring := min(x, y, 6-x, 6-y)
					if got := q.Dark(at[0]+x, at[1]+y); got != (ring != 1) {
						t.Errorf("%s: the mark at %v has %t at %d, %d", name, at, got, x, y)
					}
				}
			}
		}
		if q.Dark(-1, 0) || q.Dark(33, 0) || q.Dark(0, -1) || q.Dark(0, 33) {
			t.Errorf("%s: something is dark outside of it", name)
		}
	}
	if len(codes) != 3 {
		t.Errorf("%d codes of three numbers", len(codes))
	}
}
