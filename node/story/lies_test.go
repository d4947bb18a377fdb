package story_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A lie is one row of the table: what the node does to the answers of a route,
// what the person does meanwhile, and what comes of it.
type lie struct {
	name   string
	route  string // that is lied about
	does   string // the command
	on     string // which device of bob's: "old" has seen all there is, "new" has only logged in, "" has nothing; those of "ada" and "kay" are theirs, whose home tells the truth
	tell   func(s *liesScene, home string) []told
	kind   wire.Kind                  // of the error; "" for a lie without harm
	says   string                     // part of what the person reads
	shows  func(honest string) string // what is shown, where that is not what an honest node has shown
	writes []string                   // routes by which something may be written though the lie is refused
}

// liesScene is people on two nodes, of which the right one lies. bob, on the
// right, has ada for a friend and carol no longer; dan has asked him, and eve,
// on the right too, has asked only ada. Both bob and ada have two epochs.
type liesScene struct {
	*world
	*liar
	t       *testing.T
	saved   string                     // folder of the nodes' data and the homes at the beginning
	keys    map[string]wire.KeysReply  // of all, by name
	ids     map[string]wire.AccountID  // of all, by name
	stream  map[string]wire.AudienceID // of ada, bob, eve
	post    wire.EntryID               // of ada's newest post
	session wire.Hash                  // of bob's second device
	epoch   uint64                     // bob's newest
	went    map[string]bool            // homes that have seen what is no more
	n       int                        // homes made

	third, fourth *server // where friends of kay are at home; they tell the truth
	cosigned      []byte  // of the log of the right node, by both and the left one
	forked        []byte  // the same of a log that the right node has kept since, and shows no more
}

func newLiesScene(t *testing.T) *liesScene {
	s := &liesScene{liar: newLiar(t), t: t, keys: make(map[string]wire.KeysReply), ids: make(map[string]wire.AccountID), stream: make(map[string]wire.AudienceID), went: make(map[string]bool)}
	s.world = newWorld(t, func(n *server) error {
		if filepath.Base(n.data) == "right" {
			return s.liar.before(n)
		}
		return nil
	})
	s.third, s.fourth = s.world.node("third"), s.world.node("fourth")
	for _, who := range []string{"ada", "bob", "carol", "dan", "eve", "kay", "cid", "dot"} {
		out := s.types(who, "register "+who+"@")
		must(0, os.WriteFile(s.codeFile(who), []byte(changes.FindString(out)), 0o600))
	}
	s.types("ada", "post ada-one")
	s.befriend("ada", "bob")
	s.befriend("ada", "carol")
	s.types("ada", "post ada-two")
	s.types("ada", "friend remove carol@") // ada's second epoch
	s.types("ada", "post ada-three")
	s.types("eve", "post eve-one")
	s.befriend("bob", "carol")
	s.types("bob", "post bob-one")
	s.types("bob", "friend remove carol@") // bob's second epoch
	s.types("bob", "post bob-two")
	s.types("dan", "friend add bob@")
	s.types("eve", "friend add ada@")
	s.types("kay", "friend add eve@")
	for _, who := range []string{"cid", "dot"} { // whose nodes are witnesses of the right one from here on
		s.befriend("kay", who)
		s.befriend("carol", who)
	}
	for _, post := range []string{"ada-one", "ada-two", "ada-three"} {
		s.until("bob", "feed", post)
	}
	s.until("bob", "friend list", "dan@")
	s.until("ada", "friend list", "eve@")
	s.until("ada", "feed", "bob-two")
	s.types("bob-new", "login bob@")
	s.learn()
	s.cosigned = s.untilCosigned(s.left, s.third, s.fourth)
	s.saved = filepath.Join(s.dir, "saved")
	s.halt()
	for _, name := range []string{"left", "right", "third", "fourth", "home-ada", "home-kay", "home-bob", "home-bob-new"} {
		if err := os.CopyFS(filepath.Join(s.saved, name), os.DirFS(filepath.Join(s.dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	s.restore(s.nodes()...)
	return s
}

// codeFile is where somebody's recovery code lies.
func (s *liesScene) codeFile(who string) string { return filepath.Join(s.dir, "code-"+who) }

// pastFile is where somebody's past is written to. It is not there before.
func (s *liesScene) pastFile() string {
	file := filepath.Join(s.dir, "past")
	must(0, os.RemoveAll(file))
	return file
}

// address is where somebody of the scene is found: most live with the liar.
func (s *liesScene) address(who string) string {
	home, ok := map[string]*server{"ada": s.left, "kay": s.left, "cid": s.third, "dot": s.fourth}[who]
	if !ok {
		home = s.right
	}
	return who + "@" + home.name
}

func (s *liesScene) befriend(a, b string) {
	s.t.Helper()
	s.types(a, "friend add "+b+"@")
	s.until(b, "friend list", a+"@")
	s.types(b, "friend accept "+a+"@")
	s.until(a, "friend list", b+`@\S+ +friend`)
}

// learn keeps what a hostile node knows of its people.
func (s *liesScene) learn() {
	s.t.Helper()
	for _, who := range []string{"ada", "bob", "carol", "dan", "eve"} {
		var keys wire.KeysReply
		s.ask("bob", "POST", wire.PathKeys, &wire.KeysRequest{Address: s.at(who)}, &keys)
		s.keys[who] = keys
		s.ids[who] = wire.AccountID(keys.Statements[0].Hash(wire.LabelKeyStatement))
	}
	var sessions wire.SessionsReply
	s.ask("bob", "GET", wire.PathSessions, nil, &sessions)
	for _, one := range sessions.Sessions {
		if !one.Current {
			s.session = one.ID
		}
	}
	for _, who := range []string{"bob", "eve"} {
		var feed wire.FeedReply
		s.ask(who, "GET", wire.PathFeed+"?limit=100", nil, &feed)
		for _, item := range feed.Items {
			for name, id := range s.ids {
				if item.Author == id {
					s.stream[name] = item.Audience
				}
			}
		}
	}
	for _, e := range slices.Backward(s.run("ada")) {
		if h := s.header(e); h.Kind == wire.KindPost {
			s.post = e.ID()
			break
		}
	}
	for _, e := range s.run("bob") {
		s.epoch = max(s.epoch, s.header(e).Epoch)
	}
}

// run is the whole stream of a person, as its readers get it.
func (s *liesScene) run(who string) []wire.Entry {
	s.t.Helper()
	reader := map[string]string{"ada": "bob", "bob": "bob", "eve": "eve"}[who]
	var r wire.StreamReply
	s.ask(reader, "GET", fmt.Sprintf("/v1/streams/%s/%s?after=0&limit=100", s.ids[who], s.stream[who]), nil, &r)
	return r.Entries
}

// header reads what an entry says of itself, without judging it.
func (s *liesScene) header(e wire.Entry) *wire.EntryHeader {
	h := new(wire.EntryHeader)
	if err := wire.DecodeCBOR("entry", e.Header[ed25519.SignatureSize:], h); err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *liesScene) at(who string) wire.Address {
	a, err := wire.ParseAddress(s.address(who))
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// halt stops the nodes.
func (s *liesScene) halt() {
	s.t.Helper()
	for _, n := range s.nodes() {
		if err := n.stop(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// untilCosigned waits until some nodes have cosigned the log of the right one, and returns
// what it shows.
func (s *liesScene) untilCosigned(by ...*server) []byte {
	s.t.Helper()
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		note, err := s.right.public(s.log() + "/cosigned")
		all := err == nil && bytes.HasPrefix(note, bytes.TrimSuffix(s.top(), []byte("\n")))
		for _, n := range by {
			all = all && bytes.Contains(note, []byte(n.name+"/v1/witness "))
		}
		if all {
			return note
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the log of the right node is not cosigned by all: %v\n%s", err, note)
		}
	}
}

// restore leads nodes back to the beginning, as an operator can. Of these none meets another
// one from before, which would show what a log has signed since.
func (s *liesScene) restore(nodes ...*server) {
	s.t.Helper()
	for _, step := range []func(*server) error{(*server).kill, s.lead} {
		errs := make([]error, len(nodes))
		var all sync.WaitGroup
		for i, n := range nodes {
			all.Go(func() { errs[i] = step(n) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *liesScene) nodes() []*server { return []*server{s.left, s.right, s.third, s.fourth} }

func (s *liesScene) lead(n *server) error {
	if err := os.RemoveAll(n.data); err != nil {
		return err
	}
	if err := os.CopyFS(n.data, os.DirFS(filepath.Join(s.saved, filepath.Base(n.data)))); err != nil {
		return err
	}
	return n.start()
}

// device returns a home for l: bob's as it was at the beginning, or an empty one.
func (s *liesScene) device(l lie) string {
	s.t.Helper()
	switch l.on {
	case "old":
		return s.copyOf("bob")
	case "new":
		return s.copyOf("bob-new")
	case "ada", "kay":
		return s.copyOf(l.on)
	}
	s.n++
	return fmt.Sprintf("lie-%d", s.n)
}

// copyOf returns a home like that of a device at the beginning.
func (s *liesScene) copyOf(device string) string {
	s.t.Helper()
	s.n++
	home := fmt.Sprintf("lie-%d", s.n)
	if err := os.CopyFS(s.home(home), os.DirFS(filepath.Join(s.saved, "home-"+device))); err != nil {
		s.t.Fatal(err)
	}
	return home
}

// who types the command: bob, unless the lie says otherwise.
func (l lie) who() string {
	words := strings.Fields(l.does)
	if l.elsewhere() {
		return l.on
	}
	if words[0] == "login" || words[0] == "register" || words[0] == "recover" {
		return strings.TrimSuffix(words[1], "@")
	}
	return "bob"
}

// words are those of a command, with addresses and ids filled in.
func (s *liesScene) words(command string) []string {
	words := strings.Fields(command)
	for i, word := range words {
		if name, ok := strings.CutSuffix(word, "@"); ok {
			words[i] = s.address(name)
		}
		if word == "POST" {
			words[i] = s.post.String()
		}
		if word == "NUMBER" { // as both would see it if nobody lied
			name, _, _ := strings.Cut(words[i-2], "@")
			words[i] = s.number("bob", name)
		}
		switch word {
		case "CODE":
			who := "bob"
			if words[0] == "recover" && strings.HasPrefix(words[1], "ada@") {
				who = "ada"
			}
			words[i] = s.codeFile(who)
		case "NODE":
			words[i] = s.right.name
		case "FILE":
			words[i] = s.pastFile()
		}
		if word == "SESSION" {
			words[i] = s.session.String()
		}
	}
	return words
}

// types runs a command that has to succeed.
func (s *liesScene) types(who, command string) string {
	s.t.Helper()
	name, _, _ := strings.Cut(who, "-")
	out, errs, err := s.command(who, name, command)
	if err != nil {
		s.t.Fatalf("%s types %q: %v, %s%s", who, command, err, out, errs)
	}
	return out
}

// command runs peerbrain at a home with the password of who.
func (s *liesScene) command(home, who, command string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), newsArrive)
	defer cancel()
	switch command {
	case "second-factor on":
		_, errs, err := s.turnsOn(home)
		return "", errs, err // what it shows is another secret each time
	case "second-factor codes":
		codes, errs, err := s.turnsOn(home)
		if err != nil {
			return "", errs, err
		}
		s.env = []string{"PEERBRAIN_CODE=" + codes.backup[0]}
		_, errs, err = s.world.types(home, "second-factor", "codes")
		s.env = nil
		return "", errs, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "peerbrain"), s.words(command)...)
	present := password(who)
	if strings.HasPrefix(command, "recover") {
		present = newPassword(who)
	}
	cmd.Env = append(bare(), "PEERBRAIN_HOME="+s.home(home), "PEERBRAIN_PASSWORD="+present, "PEERBRAIN_NEW_PASSWORD="+newPassword(who))
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// until types a command at a home until it prints a pattern.
func (s *liesScene) until(who, command, pattern string) {
	s.t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		out, errs, err := s.command(who, who, command)
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s types %q: %v, %s%s", who, command, err, out, errs)
		}
	}
}

// sdk is what the SDK has for a command.
func (s *liesScene) sdk(home, who, command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), newsArrive)
	defer cancel()
	folder, err := client.OpenFolder(ctx, s.home(home))
	if err != nil {
		return err
	}
	defer folder.Close()
	transport := client.NewHTTPTransport()
	defer transport.Close()
	var backup wire.FactorCode // of the moment
	c := client.New(transport, folder, client.WithCodes(func(_ context.Context, again bool) (wire.FactorCode, error) {
		if again || backup.IsZero() {
			return wire.FactorCode{}, wire.SecondFactor
		}
		return backup, nil
	}))
	words := s.words(command)
	pass, err := client.NewPassword([]byte(password(who)))
	if err != nil {
		return err
	}
	switch words[0] {
	case "login":
		_, _, err = c.Login(ctx, client.LoginOptions{Address: s.at(who), Password: pass, Device: "test"})
		return err
	case "recover":
		if words[1] == "--renew" {
			break
		}
		newKeys := slices.Contains(words, "--new-keys")
		code, err := client.ParseRecoveryCode(must(os.ReadFile(s.codeFile(who))))
		if err != nil {
			return err
		}
		if slices.Contains(words, "--from") {
			_, err = c.RecoverPast(ctx, client.RecoverPastOptions{Address: s.at(who), Code: code, From: []wire.NodeName{wire.NodeName(s.right.name)}})
			return err
		}
		if pass, err = client.NewPassword([]byte(newPassword(who))); err != nil {
			return err
		}
		_, _, err = c.Recover(ctx, client.RecoverOptions{Address: s.at(who), Code: code, Password: pass, Device: "test", NewKeys: newKeys, ShowCode: func(string) error { return nil }})
		return err
	case "delete-account":
		if words[1] == "--yes" {
			break
		}
		code, err := client.ParseRecoveryCode(must(os.ReadFile(s.codeFile(who))))
		if err == nil {
			_, err = c.DeleteByCode(ctx, client.DeleteOptions{Address: s.at(who), Code: code, Device: "test"})
		}
		return err
	case "register":
		a, err := wire.ParseAddress(words[1])
		if err == nil {
			_, err = c.Register(ctx, client.RegisterOptions{Address: a, Password: pass, Device: "test", ShowCode: func(string) error { return nil }})
		}
		return err
	}
	p, err := c.Resume(ctx)
	if err != nil {
		return err
	}
	if words[0] == "second-factor" {
		return factorOf(ctx, p, words, &backup)
	}
	return s.asks(ctx, p, words)
}

// asks is sdk for who has a session. What hides posts counts as an error.
func (s *liesScene) asks(ctx context.Context, p *client.Person, words []string) (err error) {
	var page client.FeedPage
	var about wire.Address
	if len(words) > 1 {
		if about, err = wire.ParseAddress(words[len(words)-1]); err != nil {
			about = wire.Address{}
		}
	}
	switch words[0] + " " + words[min(1, len(words)-1)] {
	case "feed --follow":
		var f *client.Follower
		for f, page, err = p.Follow(ctx, client.FeedOptions{}); err == nil; {
			if err = f.Wait(ctx); err == nil {
				page, err = f.News(ctx, p)
			}
		}
	case "feed feed":
		page, err = p.Feed(ctx, client.FeedOptions{})
	case "show " + s.post.String():
		_, err = p.Show(ctx, s.post)
	case "friend list":
		_, err = p.Friends(ctx)
	case "friend add":
		_, err = p.AddFriend(ctx, about, true)
	case "friend accept":
		_, err = p.AcceptFriend(ctx, about, true)
	case "friend remove":
		_, err = p.RemoveFriend(ctx, about)
	case "friend verify":
		var number client.SafetyNumber
		if number, err = client.ParseSafetyNumber(words[4]); err == nil {
			about, _ = wire.ParseAddress(words[2])
			_, err = p.VerifyFriend(ctx, about, number)
		}
	case "logout logout":
		err = p.Logout(ctx)
	case "sessions sessions":
		_, _, err = p.Sessions(ctx)
	case "sessions end":
		if words[2] == "--others" {
			err = p.EndOtherSessions(ctx)
		} else {
			err = p.EndSession(ctx, s.session)
		}
	case "passwd passwd":
		err = s.changes(ctx, p)
	case "delete-account --yes":
		var old client.Password
		if old, err = client.NewPassword([]byte(password("bob"))); err == nil {
			err = p.DeleteAccount(ctx, old)
		}
	case "recover --renew":
		var code client.RecoveryCode
		if code, err = client.ParseRecoveryCode(must(os.ReadFile(s.codeFile("bob")))); err == nil {
			err = p.RenewCode(ctx, code, func(string) error { return nil })
		}
	default:
		if words[0] == "read" {
			page, err = p.Read(ctx, about, client.FeedOptions{})
		} else {
			_, err = p.Post(ctx, words[1], "")
		}
	}
	return errors.Join(append(page.Problems, err)...)
}

// changes changes bob's password.
func (s *liesScene) changes(ctx context.Context, p *client.Person) error {
	old, err := client.NewPassword([]byte(password("bob")))
	if err != nil {
		return err
	}
	anew, err := client.NewPassword([]byte(newPassword("bob")))
	if err != nil {
		return err
	}
	return p.ChangePassword(ctx, old, anew)
}

// changing are the routes by which something is written, but for sessions.
var changing = []string{"PUT " + wire.PathVault, "POST " + wire.PathTombstone, "POST " + wire.PathFriends, "POST " + wire.PathWraps, "POST " + wire.PathEntries, "POST " + wire.PathRegister}

// TestLies tells each lie to the command line and to the SDK. A lie is refused
// with the error and the words of its row, and nothing is written; or it does no
// harm, and what is printed is what an honest node would have had printed.
// Whatever the lie, no key is wrapped for anybody but those whom bob has made his
// friends, to the keys he knows of them, and no two entries take one place.
func TestLies(t *testing.T) {
	undetected(t)
	t.Parallel()
	s := newLiesScene(t)
	honest := make(map[string]string) // outputs, by device and command
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			s.t, s.liar.t, s.world.TB = t, t, t
			does := strings.TrimSuffix(l.does, " --follow") // which ends with a lie alone
			if _, ok := honest[l.on+does]; !ok {
				out, errs, err := s.command(s.device(l), l.who(), does)
				if err != nil {
					t.Fatalf("without the lie, %q: %v, %s", does, err, errs)
				}
				honest[l.on+does] = out
				s.elsewhere(l)
				s.rewind()
			}
			s.lieTo(l, honest[l.on+does])
			if l.kind != "" {
				s.lieToSDK(l)
			}
		})
	}
	for _, route := range unasked {
		if s.routes[route] {
			t.Errorf("a client asks for %s, and no lie is told about it", route)
		}
	}
}

// unasked are the routes that no client of ours asks for, but browsers and peerbrain web,
// to which TestPageLies lies.
var unasked = []string{
	"GET " + wire.PathHealth, "POST " + wire.PathWitness,
	"GET " + wire.PathPage, "GET " + wire.PathPageSaved, "GET " + wire.PathPageFile, "GET " + wire.PathPageNode,
}

// TestEveryRouteLies demands a lie about each route of the client API, or that no
// client asks for it.
func TestEveryRouteLies(t *testing.T) {
	told := make(map[string]bool)
	for _, l := range lies {
		told[l.route] = true
	}
	if len(apiRoutes()) < 19 {
		t.Errorf("only %q are found in the API", apiRoutes())
	}
	for _, route := range apiRoutes() {
		if told[route] == slices.Contains(unasked, route) {
			t.Errorf("%s: told %t, unasked %t", route, told[route], slices.Contains(unasked, route))
		}
		delete(told, route)
	}
	for route := range told {
		t.Errorf("lies are told about %s, which is no route", route)
	}
}

// TestLiesAreWrittenDown holds the table in docs/security.md to the lies that are
// told: each is there with what the reader says, and nothing else is.
func TestLiesAreWrittenDown(t *testing.T) {
	want := new(strings.Builder)
	for _, l := range lies {
		answer := "refused: " + l.says
		if l.kind == "" {
			answer = cmp.Or(l.shownAs(), "no harm")
		}
		fmt.Fprintf(want, "| %s | `%s` | %s |\n", l.name, l.does, answer)
	}
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "\n| --- | --- | --- |\n"+want.String()+"\n") {
		t.Errorf("docs/security.md does not have exactly these lines as its table of lies:\n%s", want)
	}
}

// shownAs is what the person reads of a lie that does no harm.
func (l lie) shownAs() string {
	switch {
	case l.says != "":
		return "shown: " + l.says
	case l.shows != nil && l.route == onCosigned:
		return "shown: pinned, and not confirmed"
	case l.shows != nil:
		return "not noticed: it is not shown"
	}
	return ""
}

// rewind makes the nodes forget what was written, and tell the truth.
func (s *liesScene) rewind() {
	s.t.Helper()
	if s.liar.tell(); s.liar.clean() {
		return
	}
	s.restore(s.nodes()...)
}

// elsewhere notes that the home of who typed a command may have written, which does not
// pass by the liar.
func (s *liesScene) elsewhere(l lie) {
	s.liar.mu.Lock()
	defer s.liar.mu.Unlock()
	s.liar.written = s.liar.written || l.elsewhere()
}

// elsewhere reports whether it is typed by somebody at the left node.
func (l lie) elsewhere() bool { return l.on == "ada" || l.on == "kay" }

// begin lies from here on. It returns the routes that are lied about.
func (s *liesScene) begin(l lie, home string) (routes []string) {
	s.t.Helper()
	told := l.tell(s, home)
	s.liar.tell(told...)
	for _, t := range told {
		routes = append(routes, t.route)
	}
	return routes
}

// wereTold checks that somebody has asked for what was lied about.
func (s *liesScene) wereTold(routes []string) {
	s.t.Helper()
	for _, route := range routes {
		if !slices.ContainsFunc(s.since(), func(x exchange) bool { return x.route == route }) {
			s.t.Errorf("nobody has asked for %s: the lie was not told", route)
		}
	}
}

// lieTo tells the lie to the command line.
func (s *liesScene) lieTo(l lie, honest string) {
	home := s.device(l)
	routes := s.begin(l, home)
	out, errs, err := s.command(home, l.who(), l.does)
	s.wereTold(routes)
	s.elsewhere(l)
	if l.shows != nil {
		honest = l.shows(honest)
	}
	if l.kind == "" {
		if err != nil || !strings.Contains(errs, l.says) || unnamed(out) != unnamed(honest) {
			s.t.Errorf("%q prints %v, %q and %q, want %q and %q", l.does, err, out, errs, honest, l.says)
		}
	} else {
		if err == nil || l.says == "" || !strings.Contains(errs, l.says) || !strings.Contains(errs, "\nhint: ") {
			s.t.Errorf("%q prints %v, %q, want a failure that says %q, and a hint", l.does, err, errs, l.says)
		}
		s.subset(out, honest)
		s.unwritten(l)
	}
	s.written(l)
	s.rewind()
	if l.kind != "" && l.on != "" && !l.elsewhere() && len(l.writes) == 0 && !s.went[home] {
		s.recovers(home)
	}
}

// recovers checks that a device goes on once its node tells the truth: what was
// refused has spoilt nothing.
func (s *liesScene) recovers(home string) {
	s.t.Helper()
	out, errs, err := s.command(home, "bob", "feed")
	if err != nil || strings.Count(out, "ada-") != 3 || strings.Count(out, "bob-") != 2 || strings.Count(out, "eve-") > 0 {
		s.t.Errorf("afterwards the feed is %q, %v, %s", out, err, errs)
	}
}

func (s *liesScene) lieToSDK(l lie) {
	home := s.device(l)
	s.begin(l, home)
	if err := s.sdk(home, l.who(), l.does); !errors.Is(err, l.kind) {
		s.t.Errorf("%q: got the error %v of kind %q, want kind %q", l.does, err, wire.KindOf(err), l.kind)
	}
	s.unwritten(l)
	s.written(l)
	s.rewind()
}

var changes = regexp.MustCompile(`[a-z2-7]{52}|[0-9A-Z]{4}(-[0-9A-Z]{4}){8}`)

// unnamed is an output without the ids and codes that differ from run to run.
func unnamed(out string) string { return changes.ReplaceAllString(out, "ID") }

// subset checks that nothing is shown that an honest node would not show.
func (s *liesScene) subset(out, honest string) {
	s.t.Helper()
	for line := range strings.Lines(unnamed(out)) {
		if !strings.Contains(unnamed(honest), line) {
			s.t.Errorf("shows %q, which is not in %q", line, honest)
		}
	}
}

// unwritten checks that a refused command has written nothing.
func (s *liesScene) unwritten(l lie) {
	s.t.Helper()
	for _, x := range s.since() {
		if slices.Contains(changing, x.route) && !slices.Contains(l.writes, x.route) {
			s.t.Errorf("%s is asked though the lie is refused", x.route)
		}
	}
}

// written checks what holds of everything that is written, lie or no lie.
func (s *liesScene) written(l lie) {
	s.t.Helper()
	approved := s.approved(l)
	epochs, places := map[uint64]bool{s.epoch: true}, make(map[uint64]wire.EntryID)
	for _, x := range s.since() {
		switch x.route {
		case "POST " + wire.PathWraps:
			var in wire.WrapsRequest
			if err := wire.DecodeJSON(x.body, &in); err != nil {
				s.t.Fatal(err)
			}
			for _, w := range in.Wraps {
				if key, ok := approved[w.Reader]; !ok || w.Key != key {
					s.t.Errorf("a key is wrapped for account %s, key %s", w.Reader, w.Key)
				}
			}
		case "POST " + wire.PathEntries:
			var in wire.PublishRequest
			if err := wire.DecodeJSON(x.body, &in); err != nil {
				s.t.Fatal(err)
			}
			h := s.header(in.Entry)
			if h.Kind == wire.KindEpoch {
				epochs[h.Seq] = true
			}
			if !epochs[h.Epoch] {
				s.t.Errorf("entry %d is written under epoch %d, which carol can open", h.Seq, h.Epoch)
			}
			if id, ok := places[h.Seq]; ok && id != in.Entry.ID() {
				s.t.Errorf("two entries are signed for place %d", h.Seq)
			}
			places[h.Seq] = in.Entry.ID()
		}
	}
}

// approved are those for whom bob's commands may wrap keys, and which.
func (s *liesScene) approved(l lie) map[wire.AccountID]wire.Hash {
	keys := make(map[wire.AccountID]wire.Hash)
	for who, yes := range map[string]bool{
		"ada": !strings.Contains(l.does, "remove ada@"), "dan": strings.Contains(l.does, "accept dan@"), "eve": strings.Contains(l.does, "add eve@"),
	} {
		if yes {
			keys[s.ids[who]] = s.keys[who].Statements[0].Hash(wire.LabelKeyStatement)
		}
	}
	return keys
}

// must runs a command of bob's at a home; it has to succeed.
func (s *liesScene) must(home, command string) {
	s.t.Helper()
	s.went[home] = true
	if out, errs, err := s.command(home, "bob", command); err != nil {
		s.t.Fatalf("%q: %v, %s%s", command, err, out, errs)
	}
}
