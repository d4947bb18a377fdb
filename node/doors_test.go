package node

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// serves serves a node that others reach without a network.
func (n *testNode) serves(change func(*Config)) *served {
	return n.serveAt(must(net.Listen("tcp", "127.0.0.1:0")), change)
}

// behindProxy believes this machine who asks.
func behindProxy(c *Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// forced signs what package wire would not.
func forced(l wire.Label, statement any, by wire.IdentitySecret) wire.Signed {
	payload := wire.EncodeCBOR(statement)
	return append(ed25519.Sign(ed25519.NewKeyFromSeed(by.Seed()), l.Message(payload)), payload...)
}

// alike spells a name in ways that some software takes for the name itself, or
// shows like it.
func alike(name string) []string {
	return []string{
		"", strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], name + ".", "." + name, name + " ", " " + name, "\t" + name, name + "\n", name + "\r\n",
		name + "\x00", "\x00" + name, name + "\x00x", name + "%00", "%" + fmt.Sprintf("%02x", name[0]) + name[1:], name + "%2e", "%2e%2e/" + name, "../" + name, "./" + name,
		`..\` + name, name + `\`, name + "/", "/" + name, name + "?", name + "#", name + ";", name + "+", "xn--" + name, "xn--" + name + "-", "_" + name, name + "_", "-" + name, name + "-",
		string(rune(name[0])+0xfee0) + name[1:],                                             // full width
		"\u202e" + name, name + "\u202c", "\u200b" + name, name + "\u00ad", "\ufeff" + name, // invisible
		strings.Replace(name, "a", "\u0430", 1), strings.Replace(name, "n", "\u0438", 1), name + "\u0301", name + "\u00b2", "\u212a" + name, // look alike, or fold
		name + "@", "@" + name, name + "@evil.example", strings.Repeat("a", 300),
	}
}

// TestNamesHaveOneSpelling asks for people and nodes by names that are not quite
// theirs, wherever a name is taken: no other spelling leads to them, and none is
// registered beside them.
func TestNamesHaveOneSpelling(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	w.open(south, nil, nil).person("zoe")
	s := n.serves(nil)
	ann, ben := n.person("anna"), n.person("ben")
	token := bearer(s.logsIn(ann).Token)
	challenge := must(n.Challenge(t.Context(), wire.ChallengeRequest{Handle: "anna", Purpose: wire.PurposeLogin}, newAddress()))
	login := (&visitor{handle: "anna", login: ann.login}).answer(t, north, wire.PurposeLogin, challenge, nil)
	registration := func(handle, node string) []byte {
		p := n.newPerson("draft")
		p.newest.Handle, p.newest.Node = wire.Handle(handle), wire.NodeName(node)
		first := forced(wire.LabelKeyStatement, p.newest, p.identity)
		p.account, p.heads = wire.AccountID(first.Hash(wire.LabelKeyStatement)), nil
		return wire.EncodeJSON(wire.RegisterRequest{KeyStatement: first, Vault: p.nextVault()})
	}
	offer := func(handle, node string) []byte {
		o := &wire.Offer{
			Version: wire.Version, Suite: wire.Suite, From: ann.account, FromHandle: "anna", FromNode: north, To: ben.account,
			ToHandle: wire.Handle(handle), ToNode: wire.NodeName(node), Audience: ann.audience, Created: w.clock.now().UnixMilli(),
		}
		return wire.EncodeJSON(about(ben, wire.FriendOffer, forced(wire.LabelOffer, o, ann.identity)))
	}
	// with returns a body in which a name stands as it is, escaped where it must be.
	with := func(body any, name, other string) []byte {
		return []byte(strings.Replace(string(wire.EncodeJSON(body)), strconv.Quote(name), string(wire.EncodeJSON(other)), 1))
	}
	before := n.records()
	refuse := func(what, path string, body []byte, header ...string) {
		t.Helper()
		n.forgiven()
		if got := s.sends("POST", path, body, header...); got.status != 400 {
			t.Errorf("%s: got %d %.200s, want 400", what, got.status, got.body)
		}
	}
	for _, name := range alike("anna") {
		refuse(fmt.Sprintf("challenge %q", name), wire.PathChallenge, with(wire.ChallengeRequest{Handle: "anna", Purpose: wire.PurposeLogin}, "anna", name))
		refuse(fmt.Sprintf("log in %q", name), wire.PathLogin, with(login, "anna", name))
		refuse(fmt.Sprintf("register %q", name), wire.PathRegister, registration(name, string(north)))
		refuse(fmt.Sprintf("offer to %q", name), wire.PathFriends, offer(name, string(north)), token)
		for _, address := range []string{name + "@" + string(north)} {
			refuse(fmt.Sprintf("keys of %q", address), wire.PathKeys, with(wire.KeysRequest{Address: ann.address}, ann.address.String(), address), token)
			refuse(fmt.Sprintf("friend %q", address), wire.PathFriends, with(ann.offer(ben), ben.address.String(), address), token)
		}
	}
	nodes := append(alike(string(north)), "north", "north.example:443", "north..example", "north。example", "north%2eexample", "localhost:080", "localhost:0", "localhost:99999",
		"127.0.0.1", "[::1]", "0x7f.1", "2130706433", "127.1", "0.0.0.0", "a.localhost", "north.example.localhost", "user:pass@north.example", "north.example/x", "xn--nrth-5qa.example")
	for _, name := range nodes {
		refuse(fmt.Sprintf("register at %q", name), wire.PathRegister, registration("new", name))
		refuse(fmt.Sprintf("offer at %q", name), wire.PathFriends, offer("ben", name), token)
		refuse(fmt.Sprintf("keys at %q", name), wire.PathKeys, with(wire.KeysRequest{Address: ann.address}, ann.address.String(), "anna@"+name), token)
		refuse(fmt.Sprintf("friend at %q", name), wire.PathFriends, with(ann.offer(ben), ben.address.String(), "ben@"+name), token)
	}
	if !maps.Equal(before, n.records()) {
		t.Error("something was kept of a name that is none")
	}
	if len(w.calls) > 0 {
		t.Errorf("other nodes were asked: %v", w.calls)
	}
	n.forgiven()
	for what, body := range map[string][]byte{wire.PathRegister: registration("new", string(north)), wire.PathFriends: offer("ben", string(north))} {
		if got := s.sends("POST", what, body, token); got.status != 200 {
			t.Errorf("%s with names that are right: got %+v", what, got)
		}
	}
}

// TestNamesAlike registers people whose names begin alike: nobody answers for
// another. What is reserved is refused, by the list in docs/protocol.md.
func TestNamesAlike(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	s := n.serves(nil)
	var people []*testPerson
	for _, handle := range []wire.Handle{"marta", "martaa", "marta1", "martal", "marta_1", "marta_l", "martin", "m", "ma", "marta_of_exactly_32_characters_1", "marta_of_exactly_32_characters_l"} {
		people = append(people, n.newPerson(handle))
		n.forgiven()
		if got := s.sends("POST", wire.PathRegister, wire.EncodeJSON(people[len(people)-1].register)); got.status != 200 {
			t.Fatalf("%s: %+v", handle, got)
		}
	}
	seen := map[wire.Nonce]bool{}
	for i, p := range people {
		n.forgiven()
		token := bearer(s.logsIn(p).Token)
		if got := s.sends("GET", wire.PathSession, nil, token); !strings.Contains(got.body, p.account.String()) {
			t.Errorf("%s is %s", p.address, got.body)
		}
		for j, other := range people {
			got := s.sends("POST", wire.PathKeys, wire.EncodeJSON(wire.KeysRequest{Address: other.address, Account: &p.account}), token)
			if (got.status == 200) != (i == j) || strings.Contains(got.body, textOf(p.keys[0])) != (i == j) {
				t.Errorf("%s as %s: got %d %.100s", p.address, other.address, got.status, got.body)
			}
		}
		var c wire.ChallengeReply
		reply := s.sends("POST", wire.PathChallenge, wire.EncodeJSON(wire.ChallengeRequest{Handle: p.address.Handle, Purpose: wire.PurposeLogin}))
		if err := wire.DecodeJSON([]byte(reply.body), &c); err != nil || seen[c.Random] {
			t.Errorf("%s has the salt of another, or %v", p.address, err)
		}
		seen[c.Random] = true
	}
	_, list, _ := strings.Cut(string(must(os.ReadFile("../docs/protocol.md"))), "These handles cannot be registered: ")
	list, _, _ = strings.Cut(list, ".\n")
	reserved := strings.Fields(list)
	before := n.records()
	for _, handle := range reserved {
		n.forgiven()
		got := s.sends("POST", wire.PathRegister, wire.EncodeJSON(n.newPerson(wire.Handle(handle)).register))
		if p := got.problem(); got.status != 409 || p.Code != wire.Exist || p.Field != "handle" {
			t.Errorf("%s: got %+v, want 409", handle, got)
		}
	}
	if len(reserved) < 40 || !maps.Equal(before, n.records()) {
		t.Errorf("of %d reserved handles something was kept", len(reserved))
	}
}

// TestTokenHasOneSpelling shows a session that is good in other ways than the one.
func TestTokenHasOneSpelling(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	s := n.serves(nil)
	token := s.logsIn(n.person("ann")).Token.Reveal()
	ask := func(path string, lines ...string) int {
		response, _, _ := says(t, s.addr, head(append([]string{"GET " + path + " HTTP/1.1", "Host: a"}, lines...)...))
		return response.StatusCode
	}
	good := "Authorization: Bearer " + token
	for _, lines := range [][]string{
		nil, {"Authorization: " + token}, {"Authorization: bearer " + token}, {"Authorization: BEARER " + token}, {"Authorization: Bearer  " + token}, {"Authorization: Bearer\t" + token},
		{"Authorization: Token " + token}, {"Authorization: Basic " + token}, {"Authorization: Bearer " + strings.ToUpper(token)}, {"Authorization: Bearer " + token + ","},
		{"Authorization: Bearer " + token + "a"}, {"Authorization: Bearer " + token[:51]}, {"Authorization: Bearer " + token + "===="}, {good, good}, {good, "Authorization: Bearer x"},
		{"Proxy-Authorization: Bearer " + token}, {"Cookie: token=" + token}, {"X-Authorization: Bearer " + token}, {"Authorization: Bearer " + token + " " + token},
	} {
		if got := ask(wire.PathSession, lines...); got != 401 {
			t.Errorf("%q: got %d, want 401", lines, got)
		}
	}
	if got := ask(wire.PathSession+"?access_token="+token, good); got != 400 {
		t.Errorf("in the query: got %d, want 400", got)
	}
	if got := ask(wire.PathSession, "authorization:  Bearer "+token+" "); got != 200 { // spaces around a value are no part of it
		t.Errorf("the one: got %d, want 200", got)
	}
}

// TestPagesOverHTTP flips every bit of a cursor, hands it to somebody else, cuts
// it and keeps it over a restart, and asks for pages of impossible sizes, and for a
// post by no id.
func TestPagesOverHTTP(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	s := n.serves(nil)
	ann, ben := n.person("ann"), n.person("ben")
	ann.posts(120)
	token, bens := bearer(s.logsIn(ann).Token), bearer(s.logsIn(ben).Token)
	feed := func(query, token string) (answer, wire.FeedReply) {
		got := s.sends("GET", wire.PathFeed+query, nil, token)
		var reply wire.FeedReply
		if got.status == 200 {
			if err := wire.DecodeJSON([]byte(got.body), &reply); err != nil {
				t.Fatal(err)
			}
		}
		return got, reply
	}
	_, first := feed("?limit=2", token)
	cursor := first.Cursor
	raw := must(base64.RawURLEncoding.DecodeString(cursor))
	wrong := []string{cursor + "A", cursor + "AAAA", cursor + "=", "AAAA", "0", "-1", strings.Repeat("A", 2000), strings.Replace(cursor, cursor[:1], "~", 1)}
	for i := range 8 * len(raw) {
		b := slices.Clone(raw)
		b[i/8] ^= 1 << (i % 8)
		wrong = append(wrong, base64.RawURLEncoding.EncodeToString(b))
	}
	for i := 1; i < len(cursor); i++ {
		wrong = append(wrong, cursor[:i])
	}
	for _, c := range wrong {
		if got, _ := feed("?before="+c, token); got.status != 400 || got.problem().Field != "before" {
			t.Errorf("cursor %s: got %d %.200s", c, got.status, got.body)
		}
	}
	if got, _ := feed("?before="+cursor, bens); got.status != 400 {
		t.Errorf("the cursor of somebody else: got %d", got.status)
	}
	if got, _ := feed("?limit=2", token); strings.Contains(cursor, ann.account.String()) || !strings.Contains(got.body, cursor) {
		t.Errorf("the cursor tells of its place, or changes: %s", got.body)
	}
	if got := s.sends("GET", "/v1/posts/x", nil, token); got.status != 400 {
		t.Errorf("a post whose id is none: got %d %s", got.status, got.body)
	}
	stream := "/v1/streams/" + ann.account.String() + "/" + ann.audience.String()
	size := func(path string) int { // of the page, or the status
		got := s.sends("GET", path, nil, token)
		return cmp.Or(strings.Count(got.body, `"header"`)*boolInt(got.status == 200), got.status)
	}
	for _, c := range []struct {
		query                string
		feed, stream, vaults int
	}{
		{"limit=1", 1, 1, 400}, {"limit=100", 100, 100, 400}, {"limit=0", 400, 400, 400}, {"limit=-1", 400, 400, 400}, {"limit=101", 400, 400, 400},
		{"limit=1000000000", 400, 400, 400}, {"limit=01", 400, 400, 400}, {"limit=1.0", 400, 400, 400}, {"limit=1e1", 400, 400, 400}, {"limit=0x1", 400, 400, 400},
		{"limit=", 400, 400, 400}, {"limit=1&limit=1", 400, 400, 400}, {"limit=18446744073709551617", 400, 400, 400},
		{"after=0", 400, 50, 200}, {"after=120", 400, 1, 200}, {"after=121", 400, 200, 200}, {"after=9007199254740992", 400, 200, 200},
		{fmt.Sprint("after=", uint64(math.MaxInt64)), 400, 200, 200}, {fmt.Sprint("after=", uint64(math.MaxInt64)+1), 400, 400, 400}, {"after=-1", 400, 400, 400}, {"after=+1", 400, 400, 400},
		{"before=0", 400, 50, 400}, {"before=1", 400, 200, 400}, {"before=2", 400, 1, 400}, {"before=9007199254740992", 400, 50, 400},
		{fmt.Sprint("before=", uint64(math.MaxInt64)), 400, 50, 400}, {fmt.Sprint("before=", uint64(math.MaxInt64)+1), 400, 400, 400},
		{"after=1&before=2", 400, 400, 400}, {"after=0&before=0", 400, 400, 400}, {"x=1", 400, 400, 400},
	} {
		got := [3]int{size(wire.PathFeed + "?" + c.query), size(stream + "?" + c.query), s.sends("GET", wire.PathVault+"?"+c.query, nil, token).status}
		if want := [3]int{c.feed, c.stream, c.vaults}; got != want {
			t.Errorf("%s: got %v, want %v", c.query, got, want)
		}
	}
	n.close()
	again := w.open(north, n.own, n.copies)
	s = again.serves(nil)
	if got, reply := feed("?limit=2&before="+cursor, token); len(reply.Items) != 2 || reply.Items[0].Entry.ID() == first.Items[0].Entry.ID() {
		t.Errorf("after a restart: got %d %.200s", got.status, got.body)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// from is the header of a proxy that says who asks.
func from(address string) string { return "X-Forwarded-For: " + address }

// TestStrangersAreThrottled floods the log-in of somebody over HTTP: the flood is
// throttled and told for how long; a known device, recovery, other people and
// other addresses get in.
func TestStrangersAreThrottled(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	s := n.serves(behindProxy)
	ann, ben := newVisitor(t, north, "ann", n.now()), newVisitor(t, north, "ben", n.now())
	for _, v := range []*visitor{ann, ben} {
		if got := s.sends("POST", wire.PathRegister, wire.EncodeJSON(v.request), from("192.0.2.1")); got.status != 200 {
			t.Fatalf("%+v", got)
		}
	}
	try := func(v *visitor, purpose wire.Purpose, address string, device *wire.Token, change func(*wire.Challenge)) (answer, wire.LoginReply) {
		c := must(n.Challenge(t.Context(), wire.ChallengeRequest{Handle: v.handle, Purpose: purpose}, newAddress()))
		r := v.answer(t, north, purpose, c, change)
		r.DeviceToken = device
		got := s.sends("POST", wire.PathLogin, wire.EncodeJSON(r), from(address))
		var reply wire.LoginReply
		if got.status == 200 {
			if err := wire.DecodeJSON([]byte(got.body), &reply); err != nil {
				t.Fatal(err)
			}
		}
		return got, reply
	}
	_, known := try(ann, wire.PurposeLogin, "192.0.2.1", nil, nil)
	counts := map[int]int{}
	for range 100 {
		got, _ := try(ann, wire.PurposeLogin, "203.0.113.9", nil, func(c *wire.Challenge) { c.Nonce[0] ^= 1 })
		counts[got.status]++
		if p := got.problem(); got.status == 429 && (p.Retry < 1 || !strings.Contains(got.header, fmt.Sprintf("Retry-After: [%d]", p.Retry))) {
			t.Fatalf("got %+v, want to be told for how long", got)
		}
	}
	if counts[401] != 10 || counts[429] != 90 {
		t.Errorf("of 100 wrong log-ins: %v, want 10 refused and 90 throttled", counts)
	}
	for _, c := range []struct {
		name    string
		who     *visitor
		purpose wire.Purpose
		address string
		device  *wire.Token
		want    int
	}{
		{"a known device", ann, wire.PurposeLogin, "192.0.2.1", &known.DeviceToken, 200},
		{"recovery", ann, wire.PurposeRecovery, "192.0.2.1", nil, 200},
		{"a new device", ann, wire.PurposeLogin, "192.0.2.1", nil, 429},
		{"somebody else", ben, wire.PurposeLogin, "192.0.2.1", nil, 200},
		{"somebody else from the address of the flood", ben, wire.PurposeLogin, "203.0.113.9", nil, 429},
	} {
		if got, _ := try(c.who, c.purpose, c.address, c.device, nil); got.status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, got.status, got.body, c.want)
		}
	}
}

// TestBudgetsAreSeparate uses up what each route allows one address, or account,
// and finds all others untouched, and all routes for others.
func TestBudgetsAreSeparate(t *testing.T) {
	w := newWorld(t)
	n := w.open(north, nil, nil)
	proxied, direct := n.serves(behindProxy), n.serves(nil)
	ann, ben := bearer(proxied.logsIn(n.person("ann")).Token), bearer(proxied.logsIn(n.person("ben")).Token)
	budgets := map[string]int{wire.PathChallenge: 60, wire.PathLogin: 60, wire.PathRegister: 10, wire.PathHeads: 60, wire.PathRecovery: 120, wire.PathKeys: 120}
	bodies := map[string][]byte{
		wire.PathChallenge: []byte(`{"handle":"ann","purpose":"login"}`),
		wire.PathLogin:     []byte(`{"handle":"ann","purpose":"login","device":"x"}`),
		wire.PathRegister:  []byte(`{}`), wire.PathHeads: []byte(`{}`), wire.PathRecovery: []byte(`{}`), wire.PathKeys: []byte(`{"address":"nobody@north.example"}`),
	}
	ask := func(s *served, path, token, address string) bool {
		return s.sends("POST", path, bodies[path], token, from(address)).status != 429
	}
	for path, budget := range budgets {
		n.forgiven()
		taken := 0
		for range budget + 5 {
			if ask(proxied, path, ann, "192.0.2.1") {
				taken++
			}
		}
		if taken != budget {
			t.Errorf("%s: %d of %d were taken, want %d", path, taken, budget+5, budget)
		}
		for other := range budgets {
			if mine := ask(proxied, other, ann, "192.0.2.1"); mine != (other != path) {
				t.Errorf("after a flood of %s, %s: served %t", path, other, mine)
			}
			if !ask(proxied, other, ben, "192.0.2.2") {
				t.Errorf("after a flood of %s, %s from elsewhere is throttled", path, other)
			}
		}
		w.clock.advance(7 * time.Second)
		if !ask(proxied, path, ann, "192.0.2.1") {
			t.Errorf("%s: still throttled after a while", path)
		}
	}
	n.forgiven()
	taken := 0
	for i := range 70 {
		if ask(direct, wire.PathChallenge, ann, fmt.Sprintf("192.0.2.%d", i)) {
			taken++
		}
	}
	if taken != 60 {
		t.Errorf("%d of 70 were taken from an address that is no proxy, whatever it forwards, want 60", taken)
	}
}

// TestLoginTellsNothingOverHTTP compares whole answers for somebody, for nobody,
// and for somebody of whom nothing but the name is left.
func TestLoginTellsNothingOverHTTP(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	s := n.serves(nil)
	n.person("anna")
	gone := n.person("gone")
	if err := n.own.Apply(t.Context(), store.Change{Key: vaultKey(gone.account)}); err != nil {
		t.Fatal(err)
	}
	for _, purpose := range []wire.Purpose{wire.PurposeLogin, wire.PurposeRecovery} {
		var want [2]answer
		for _, handle := range []wire.Handle{"anna", "gone", "none"} {
			first := s.sends("POST", wire.PathChallenge, wire.EncodeJSON(wire.ChallengeRequest{Handle: handle, Purpose: purpose}))
			var c wire.ChallengeReply
			if err := wire.DecodeJSON([]byte(first.body), &c); err != nil {
				t.Fatalf("%+v", first)
			}
			v := &visitor{handle: handle, login: wire.NewLoginSecret(random32()), recovery: wire.NewRecoveryLoginSecret(random32())}
			second := s.sends("POST", wire.PathLogin, wire.EncodeJSON(v.answer(t, north, purpose, c, nil)))
			again := s.sends("POST", wire.PathChallenge, wire.EncodeJSON(wire.ChallengeRequest{Handle: handle, Purpose: purpose}))
			if !strings.Contains(again.body, `"random":"`+c.Random.String()) {
				t.Errorf("%s: the salt changes", handle)
			}
			for _, secret := range []string{c.Random.String(), c.Nonce.String(), c.Tag.String()} {
				first.body = strings.Replace(first.body, secret, "-", 1)
			}
			got := [2]answer{first, second}
			if handle == "anna" {
				want = got
			}
			if got != want || got[1].status != 401 {
				t.Errorf("%s %s: got %+v, want %+v", purpose, handle, got, want)
			}
		}
	}
}
