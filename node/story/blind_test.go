package story_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// TestBlind tells the story and then looks for what somebody else may not know,
// wherever it could be: in the stores, logs, memory, arguments and environment of
// the nodes, in all that goes between people and nodes and between the nodes, in
// temporary files, and in what people's devices keep, are told and print. The
// nodes log all they can, and never give memory back: what they ever heard stays
// where it is looked for.
//
// What is looked for are the words of posts, passwords, recovery codes and what
// they become, every key that the devices hold, tokens, and the nodes' own keys.
// permitted says where each may be. So that nothing is looked for in vain, in
// every kind of place something else must be found.
func TestBlind(t *testing.T) {
	undetected(t)
	t.Parallel()
	b := &blind{all: make(map[string]canary), known: make(map[string]bool)}
	b.makeTemporary(t)
	b.world = newWorld(t, func(s *server) error {
		s.env = []string{"TMPDIR=" + b.temporary, "GOGC=off", "PEERBRAIN_LOG_LEVEL=debug"}
		return nil
	}, front(t, b.of))
	b.env = []string{"TMPDIR=" + b.temporary}
	b.typed = func(c command) { b.commands = append(b.commands, c) }
	b.plays()
	b.knowsAll()
	b.finds()
	b.looksAtTemporary()
}

// A canary is a secret, or what has to be found beside the secrets.
type canary struct {
	kind  string
	of    string // a person's device, or the name of a node
	bytes []byte
}

// blind is a world where everything is looked into.
type blind struct {
	*world
	recorder
	commands  []command
	all       map[string]canary // by kind and owner
	known     map[string]bool   // their bytes
	temporary string            // the folder for temporary files of everybody
}

// secret remembers bytes to look for. The same bytes of two devices are one secret.
func (b *blind) secret(kind, of string, bytes []byte) {
	if b.known[string(bytes)] {
		return
	}
	b.known[string(bytes)] = true
	name := kind + " of " + of
	for n := 2; b.all[name].bytes != nil; n++ {
		name = fmt.Sprintf("%s of %s, number %d", kind, of, n)
	}
	b.all[name] = canary{kind, of, bytes}
}

var devices = []string{"ada", "ada-2", "bob", "carol", "eve"}

// plays tells the story, and remembers all that is secret in it.
func (b *blind) plays() {
	b.Helper()
	for _, text := range []string{firstText, secondText, thirdText, replyText} {
		b.secret("words", "somebody", []byte(text))
	}
	for _, a := range acts {
		if a.words[0] == "register" {
			b.registers(a.who)
		} else if err := b.play(a); err != nil {
			b.Fatal(err)
		}
	}
	b.changes("ada", "ada-2")
	b.recovers("bob")
	for _, who := range devices {
		b.hoards(who)
	}
}

// changes changes the password of somebody on one device, and logs in with it on the
// other. What was secret before still is.
func (b *blind) changes(who, other string) {
	b.Helper()
	b.hoards(who)
	b.secret("password", who, []byte(newPassword(who)))
	var errs string
	var err error
	for _, words := range [][]string{{who, "sessions"}, {who, "passwd"}, {other, "login", b.address(who)}} {
		if _, errs, err = b.types(words[0], words[1:]...); err != nil {
			b.Fatalf("%q: %v, %s", words, err, errs)
		}
		if words[1] == "passwd" {
			b.anew = map[string]bool{who: true}
		}
	}
}

// registers makes an account and remembers its password and recovery code.
func (b *blind) registers(who string) {
	b.Helper()
	out, errs, err := b.types(who, "register", b.address(who), "--json")
	var reply struct {
		Code string `json:"recovery_code"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &reply)
	}
	if err != nil || reply.Code == "" {
		b.Fatalf("%s registers: %v, %s%s", who, err, out, errs)
	}
	b.secret("address", who, []byte(b.address(who)))
	b.secret("password", who, []byte(password(who)))
	b.recovery(who, reply.Code)
}

// recovers has somebody lose the password, and use the recovery code.
func (b *blind) recovers(who string) {
	b.Helper()
	b.hoards(who)
	b.secret("password", who, []byte(newPassword(who)))
	b.anew[who] = true
	sheet := filepath.Join(b.TempDir(), "sheet")
	if err := os.WriteFile(sheet, b.all["recovery code of "+who].bytes, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, words := range [][]string{{"recover", "--check"}, {"recover", b.address(who)}} {
		out, errs, err := b.types(who, append(words, "--recovery-code-file", sheet)...)
		if err != nil {
			b.Fatalf("%q: %v, %s", words, err, errs)
		}
		if code := recoveryCode.FindString(out); code != "" {
			b.recovery(who, code)
		}
	}
}

// knowsAll fails when what is looked for is less than what there is: it would
// pass for the wrong reason.
func (b *blind) knowsAll() {
	b.Helper()
	b.nodes()
	kinds := make(map[string]int)
	for _, c := range b.all {
		kinds[c.kind]++
	}
	for kind, want := range map[string]int{
		"words": 4, "password": 6, "recovery code": 20, "recovery bits": 5, "recovery key": 15, "login seed": 6, "slot key": 6,
		"token": 5, "device token": 5, "vault key": 6, "cache key": 5, "identity key": 4, "encryption key": 4, "self key": 4,
		"epoch secret": 5, "content key": 5, "chain key": 5, // of each person, and a second one of ada, who removed bob
		"node's key": 6, "account": 4, "address": 4, "node": 2, "folder": 1,
	} {
		if kinds[kind] < want {
			b.Errorf("%d of kind %q are looked for, want at least %d", kinds[kind], kind, want)
		}
		delete(kinds, kind)
	}
	if len(kinds) > 0 {
		b.Errorf("%v are looked for and not counted", kinds)
	}
}

// A place is somewhere to look.
type place struct {
	kind string
	of   string // the node or device that it belongs to
	name string
	text []byte
}

// permitted says what may be where, and if it may only be so at its owner's: on
// their device, or at the node where they are registered.
var permitted = []struct {
	secret, place string
	own           bool
}{
	{"token", "authorization", true}, // the one that the request is made with
	{"token", "log-in", true},
	{"token", "memory", true},
	{"token", "session", true},
	{"vault key", "session", true}, // by design: a device opens its vault without the password
	{"cache key", "session", true}, // and its other files
	{"device token", "log-in", true},
	{"device token", "memory", true},
	{"device token", "remembered", true}, // after a log-out too
	{"words", "argument", false},         // typed after post
	{"words", "output", false},           // who reads what is the story's business
	{"recovery code", "output", true},    // once, at the registration or the recovery
	{"node's key", "store", true},
	{"node's key", "memory", true},
}

// controls are what must be found in each kind of place, so that it is known to
// have been looked into.
var controls = map[string]string{
	"store": "account", "log": "node", "memory": "account", "process arguments": "node", "environment": "folder",
	"url": "account", "headers": "node", "authorization": "token", "body": "account", "log-in": "token",
	"argument": "node", "output": "node", "session": "token", "remembered": "device token", "device": "account",
}

// may tells whether c may be at p. What is no secret may be everywhere but in
// logs, which tell of nobody.
func (b *blind) may(c canary, p place) bool {
	switch c.kind {
	case "node", "folder":
		return true
	case "account", "address":
		return p.kind != "log"
	}
	return slices.ContainsFunc(permitted, func(rule struct {
		secret, place string
		own           bool
	}) bool {
		return rule.secret == c.kind && rule.place == p.kind && (!rule.own || b.owns(c.of, p.of))
	})
}

// owns tells whether a secret's owner is whom a place belongs to, or at home there.
func (b *blind) owns(owner, of string) bool {
	return owner == of || person(owner) == person(of) || strings.HasSuffix(b.address(person(owner)), "@"+of)
}

// finds looks into all places.
func (b *blind) finds() {
	b.Helper()
	var names []string
	var secrets [][]byte
	for name, c := range b.all {
		names, secrets = append(names, name), append(secrets, c.bytes)
	}
	s := newSearch(b, secrets)
	missing := maps.Clone(controls)
	told := make(map[string]bool)
	look := func(p place) {
		for _, what := range s.in(p.text) {
			c := b.all[names[what]]
			if missing[p.kind] == c.kind {
				delete(missing, p.kind)
			}
			fault := fmt.Sprintf("the %s is in the %s of %s", names[what], p.kind, p.of)
			if !b.may(c, p) && !told[fault] {
				told[fault] = true
				b.Errorf("%s: %s", fault, p.name)
			}
		}
	}
	if err := b.looksIntoProcesses(s.longest, look); errors.Is(err, errors.ErrUnsupported) {
		b.Log("NOT LOOKED INTO: arguments, environment and memory of the nodes, which only Linux shows")
		for _, kind := range ofProcesses {
			delete(missing, kind)
		}
	} else if err != nil {
		b.Errorf("the processes of the nodes cannot be looked into: %v", err)
	}
	for _, n := range []*server{b.left, b.right} {
		if err := n.stop(); err != nil {
			b.Error(err)
		}
		look(place{"log", n.name, n.log, b.contents(n.log)})
		for path, content := range b.files(n.data) {
			look(place{"store", n.name, path, content})
		}
	}
	b.looksIntoTraffic(look)
	b.looksAtPeople(look)
	for kind, control := range missing {
		b.Errorf("no %s was found in any %s, so nothing else can be", control, kind)
	}
}

// ofProcesses are the kinds of places that looksIntoProcesses looks at.
var ofProcesses = []string{"process arguments", "environment", "memory"}

// looksIntoProcesses looks at what the system shows of the nodes that run.
func (b *blind) looksIntoProcesses(longest int, look func(place)) error {
	b.Helper()
	for _, n := range []*server{b.left, b.right} {
		p := process(n.cmd.Process.Pid)
		arguments, err := p.arguments()
		if err != nil {
			return err
		}
		environment, err := p.environment()
		if err != nil {
			return err
		}
		read, err := p.memory(longest, func(text []byte) { look(place{"memory", n.name, "", text}) })
		if err != nil {
			return err
		}
		look(place{"process arguments", n.name, "", arguments})
		look(place{"environment", n.name, "", environment})
		b.Logf("%s: %d MiB of memory were looked into", n.name, read>>20)
	}
	return nil
}

func (b *blind) looksIntoTraffic(look func(place)) {
	for _, e := range b.exchanges() {
		name := e.node + e.path
		body := "body"
		if e.path == wire.PathLogin {
			body = "log-in"
		}
		look(place{"url", e.node, name, []byte(e.url)})
		look(place{"headers", e.node, name, []byte(e.headers)})
		look(place{"authorization", e.node, name, []byte(e.authorization)})
		look(place{body, e.node, name, e.asked})
		look(place{body, e.node, name, e.answered})
	}
}

// looksAtPeople looks at what people typed and were shown, and at what lies on
// their devices.
func (b *blind) looksAtPeople(look func(place)) {
	for _, c := range b.commands {
		look(place{"argument", c.who, c.args[1], []byte(strings.Join(c.args, "\x00"))})
		look(place{"output", c.who, c.args[1], []byte(c.stdout + c.stderr)})
	}
	for _, who := range devices {
		for path, content := range b.files(b.home(who)) {
			kind := "device"
			switch base := filepath.Base(path); {
			case base == "session":
				kind = "session"
			case strings.HasPrefix(base, "known-"):
				kind = "remembered"
			}
			look(place{kind, who, path, content})
		}
	}
}

// nodes remembers the nodes' own keys, and what has to be found. The stores are
// read from copies, since the nodes have them open.
func (b *blind) nodes() {
	b.Helper()
	b.secret("folder", "everybody", []byte(b.temporary))
	for _, n := range []*server{b.left, b.right} {
		b.secret("node", n.name, []byte(n.name))
		path := filepath.Join(b.TempDir(), "own.db")
		for _, suffix := range []string{"", ".log0", ".log1"} {
			if err := os.WriteFile(path+suffix, b.contents(filepath.Join(n.data, "own.db"+suffix)), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		s, err := bolt.Open(path, bolt.Options{})
		if err != nil {
			b.Fatal(err)
		}
		rec, err := s.Get(b.Context(), "node/keys")
		if err := errors.Join(err, s.Close()); err != nil {
			b.Fatal(err)
		}
		var keys map[int]any
		if err := cbor.Unmarshal(rec.Value, &keys); err != nil {
			b.Fatal(err)
		}
		for i := 2; i <= 4; i++ {
			b.secret("node's key", n.name, keys[i].([]byte))
		}
	}
}

// longAgo is when the folder for temporary files was last written to, if nobody
// writes to it: making a file there and removing it again shows as well.
var longAgo = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

func (b *blind) makeTemporary(t *testing.T) {
	b.temporary = filepath.Join(t.TempDir(), "temporary")
	if err := errors.Join(os.Mkdir(b.temporary, 0o700), os.Chtimes(b.temporary, longAgo, longAgo)); err != nil {
		t.Fatal(err)
	}
}

// looksAtTemporary wants no temporary file, not even one that is gone again.
func (b *blind) looksAtTemporary() {
	b.Helper()
	changed := func() bool {
		info, err := os.Stat(b.temporary)
		if err != nil {
			b.Fatal(err)
		}
		return !info.ModTime().Equal(longAgo)
	}
	if changed() {
		b.Errorf("somebody wrote temporary files; still there are %q", slices.Collect(maps.Keys(b.files(b.temporary))))
	}
	f, err := os.CreateTemp(b.temporary, "")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil || !changed() {
		b.Errorf("a temporary file that is gone again does not show: %v", err)
	}
}

func (w *world) contents(path string) []byte {
	w.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// files reads all files below dir.
func (w *world) files(dir string) map[string][]byte {
	w.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files[path] = w.contents(path)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return files
}
