package node

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// bodies are requests that succeed, with every member there is, by route.
func bodies(t *testing.T, home, west *served) (map[string]any, wire.Token) {
	ann, ben, cid := home.person("ann"), home.person("ben"), home.person("cid")
	wil := west.person("wil")
	ann.befriend(ben)
	session := home.logsIn(ann)
	challenge := must(home.Challenge(t.Context(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, newAddress()))
	v := &visitor{handle: "ann", login: ann.login}
	login := v.answer(t, home.name, wire.PurposeLogin, challenge, nil)
	login.DeviceToken = &session.DeviceToken
	login.Code = new(wire.NewBackupCode(random32())) // which nobody has asked for
	query := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: wil.account, Node: home.name, Created: time.Now().UnixMilli()}
	wil.befriend(cid)
	home.pulls(west.testNode)
	offer := wil.offer(ann)
	return map[string]any{
		"POST " + wire.PathRegister:  home.newPerson("eve").register,
		"POST " + wire.PathChallenge: wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin},
		"POST " + wire.PathLogin:     login,
		"POST " + wire.PathHeads:     wire.HeadsRequest{Account: wil.account, Query: must(query.Sign(wil.identity))},
		"POST " + wire.PathRecovery:  wil.asksBack(home.testNode, &wire.RecoveryPlace{Audience: wil.audience, After: 1}),
		"PUT " + wire.PathFactor:     newAppliance().request(ann.account, time.Now()),
		"PUT " + wire.PathBackup:     wire.BackupRequest{Backup: newAppliance().hashes(ann.account)},
		"PUT " + wire.PathVault:      ann.renewal(nil),
		"POST " + wire.PathTombstone: wire.DeleteRequest{Tombstone: must(ann.tombstone().Sign(ann.identity))}, // by the keys that came with that
		"POST " + wire.PathKeys:      wire.KeysRequest{Address: ann.address, Account: &ann.account},
		"POST " + wire.PathFriends:   ann.offer(cid),
		"POST " + wire.PathWraps:     wire.WrapsRequest{Audience: ann.audience, Commitment: random32(), Wraps: []wire.Wrap{ann.wrapFor(ben)}},
		"POST " + wire.PathEntries:   wire.PublishRequest{Entry: ann.epoch(), Ends: []wire.FriendRequest{ann.end(ben)}},

		"POST " + wire.PathPeerKeys: wire.KeysRequest{Address: ann.address, Account: &ann.account},
		"POST " + wire.PathPeerFriends: wire.PeerFriendRequest{
			From: wil.address, FromAccount: wil.account, To: ann.address, ToAccount: ann.account, FriendStatement: offer.FriendStatement,
		},
		"POST " + wire.PathPeerSync: wire.SyncRequest{Streams: []wire.SyncStream{{
			Author: cid.account, Audience: cid.audience, After: 1, Head: cid.stream.ID,
			Readers: []wire.SyncReader{{Account: wil.account, Have: random32()}},
		}}, Since: "no state"},
		"POST " + wire.PathPeerNotices: wire.NoticeRequest{Streams: []wire.NoticedStream{{
			Author: wil.account, Audience: wil.audience, Head: 1, Entries: []wire.Entry{wil.epoch()},
			Wraps: []wire.SyncedWrap{{Commitment: random32(), Wrap: wil.wrapFor(ann)}},
		}}},
	}, session.Token
}

// membersOf returns where the members of JSON of a type are, as JSON pointers
// (RFC 6901). Of a list, the first item stands for all.
func membersOf(t reflect.Type, at string) (all []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	switch {
	case reflect.PointerTo(t).Implements(text):
	case t.Kind() == reflect.Slice:
		all = append([]string{at + "/0"}, membersOf(t.Elem(), at+"/0")...)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous {
				all = append(all, at+"/"+name)
				name = "/" + name
			}
			all = append(all, membersOf(f.Type, at+name)...)
		}
	}
	return all
}

// spoiled returns a JSON text in which put replaces the member or item at a
// place, given its name and the text of its value. What put makes empty is gone.
func spoiled(t *testing.T, text []byte, at string, put func(name, value string) string) string {
	t.Helper()
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	parts, from := strings.Split(at, "/")[1:], tree
	name := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		if list, ok := from.([]any); ok {
			from = list[0]
		} else {
			from = from.(map[string]any)[part]
		}
	}
	hole := `"` + name + `":"hole"`
	var value any
	switch from := from.(type) {
	case map[string]any:
		if value, from[name] = from[name], "hole"; put(name, "") == "" {
			delete(from, name)
			return string(must(json.Marshal(tree)))
		}
	case []any:
		value, from[0], hole = from[0], "hole", `"hole"`
	}
	whole := string(must(json.Marshal(tree)))
	if value == nil || strings.Count(whole, hole) != 1 {
		t.Fatalf("the example holds no %s", at)
	}
	return strings.Replace(whole, hole, put(name, string(must(json.Marshal(value)))), 1)
}

// values are what stands in no member, or in those of another type only, which
// is told by how such values begin.
var values = []struct{ text, fits string }{
	{"null", ""}, {"{}", "{"}, {"[]", "["}, {"[{}]", "["}, {"true", "tf"}, {"1", "0123456789"}, {`{"$gt":""}`, ""}, {`{"$ne":null}`, ""},
	{`"a\u0000b"`, ""}, {`"\ud800"`, ""}, {`"\udc00\ud800"`, ""}, {"\"a\xffb\"", ""}, {"\"a\x01b\"", ""}, {`'a'`, ""}, {"NaN", ""},
	{"1e400", ""}, {"1e2", ""}, {"1.0", ""}, {"-0", ""}, {"01", ""}, {"9007199254740992", ""}, {"9007199254740993", ""}, {"18446744073709551616", ""},
	{strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5), ""}, {strings.Repeat(`{"a":`, 1e5) + "1" + strings.Repeat("}", 1e5), ""},
}

// absences are the answers, other than 400, to requests that lack a member:
// some may (200), others speak of nobody and nothing without it.
var absences = map[string]int{
	"POST /v1/login /expires": 401, "POST /v1/login /answer": 401, "POST /v1/login /tag": 401, "POST /v1/login /nonce": 401,
	"POST /v1/login /device_token": 200, "POST /v1/login /code": 200, "PUT /v1/second-factor /kind": 426, "POST /v1/heads /account": 404, "POST /v1/heads /query": 404, "POST /v1/recovery /address": 404, "POST /v1/recovery /query": 404, "POST /v1/recovery /stream": 200, "POST /v1/recovery /stream/audience": 404, "POST /v1/recovery /stream/after": 200, "POST /v1/keys /account": 200,
	"POST /v1/entries /ends": 200, "POST /v1/entries /ends/0/address": 404,
	"POST /federation/v1/keys /account": 200, "POST /federation/v1/keys /address": 404, "POST /federation/v1/friendship /from": 403,
	"POST /federation/v1/friendship /to": 404, "POST /federation/v1/friendship /to_account": 404,
	"POST /federation/v1/sync /since": 200, "POST /federation/v1/sync /streams": 200, "POST /federation/v1/sync /streams/0/author": 200, "POST /federation/v1/sync /streams/0/audience": 200,
	"POST /federation/v1/sync /streams/0/after": 200, "POST /federation/v1/sync /streams/0/head": 200, "POST /federation/v1/sync /streams/0/readers": 200,
	"POST /federation/v1/sync /streams/0/readers/0/account": 200, "POST /federation/v1/sync /streams/0/readers/0/have": 200,
}

// spoils returns all that is done to a body, by what it is.
func spoils(t *testing.T, text []byte, of reflect.Type) map[string]string {
	all := map[string]string{
		"empty": "", "blank": " ", "null": "null", "a list": "[" + string(text) + "]", "a string": strconv.Quote("{}"), "a number": "1", "cut": string(text[:len(text)-1]),
		"a mark": "\ufeff" + string(text), "something behind": string(text) + "x", "twice": string(text) + string(text), "a NUL behind": string(text) + "\x00",
		"a comment": "/**/" + string(text), "a bad name": "{\"\xff\":1," + string(text[1:]), "a comma last": string(text[:len(text)-1]) + ",}",
		"deep": strings.Repeat("[", 1e5), "a huge list": "[" + strings.Repeat("0,", 400_000) + "0]",
	}
	for _, at := range membersOf(of, "") {
		put := func(what string, put func(name, value string) string) { all[at+" "+what] = spoiled(t, text, at, put) }
		item := strings.HasSuffix(at, "/0")
		for _, v := range values {
			_, value, _ := strings.Cut(spoiled(t, text, at, func(_, value string) string { return "\x00" + value }), "\x00")
			if strings.ContainsRune(v.fits, rune(value[0])) {
				continue
			}
			put("is "+v.text[:min(len(v.text), 30)], func(name, _ string) string {
				if item {
					return v.text
				}
				return strconv.Quote(name) + ":" + v.text
			})
		}
		if item {
			continue
		}
		put("absent", func(string, string) string { return "" })
		for what, form := range map[string]string{
			"twice": `"%[1]s":%[2]s,"%[1]s":%[2]s`, "null and again": `"%[1]s":null,"%[1]s":%[2]s`, "again in another case": `"%[1]s":%[2]s,"%[3]s":%[2]s`,
			"in another case": `"%[3]s":%[2]s`, "escaped and again": `"%[1]s":%[2]s,"\\u00%[4]x":%[2]s`, "with another": `"%[1]s":%[2]s,"unknown":1`,
			"with a NUL": `"%[1]s\\u0000":%[2]s`, "with a prototype": `"%[1]s":%[2]s,"__proto__":{}`,
		} {
			put(what, func(name, value string) string {
				return fmt.Sprintf(form, name, value, strings.ToUpper(name), name[0])
			})
		}
	}
	return all
}

// lets gives somebody a second factor of which one code is left, always the same, and
// returns the header with it.
func (n *testNode) lets(of wire.AccountID) string {
	code := wire.NewBackupCode(of)
	if err := n.own.Apply(context.Background(), put(factorKey(of), &factorRecord{Version: recordVersion, Backup: []wire.Hash{code.Hash(of)}})); err != nil {
		n.world.t.Fatal(err)
	}
	return wire.HeaderSecondFactor + ": " + code.Reveal()
}

// TestBodiesAreStrict spoils each member of each request, in every way that
// some decoder takes for something else, and each body as a whole. All of it is
// refused, and nothing is kept.
func TestBodiesAreStrict(t *testing.T) {
	undetected(t)
	w := newLiveWorld(t)
	home, west := w.host(), w.host()
	requests, ann := bodies(t, home, west)
	account := must(home.Authenticate(t.Context(), ann)).account
	count := 0
	names := slices.DeleteFunc(everyRoute(home.testNode), func(name string) bool { return name == "POST "+wire.PathTombstone })
	for _, name := range append(names, "POST "+wire.PathTombstone) { // after which nobody is there who asks
		method, path, _ := strings.Cut(name, " ")
		request, ok := requests[name]
		if ok != ((method == "POST" || method == "PUT") && path != wire.PathWitness) { // which has no JSON
			t.Errorf("%s has a body: %t", name, ok)
		}
		if !ok {
			continue
		}
		home.forgiven()
		send := func(body string) answer {
			header := []string{bearer(ann)}
			if strings.HasPrefix(path, federationPrefix) {
				header = west.signs(home.name, method, path, []byte(body))
			}
			if path == wire.PathBackup {
				defer home.lets(account)
				header = append(header, home.lets(account))
			}
			return home.sends(method, path, []byte(body), header...)
		}
		switch path {
		case wire.PathBackup:
			home.lets(account)
		case wire.PathVault: // from here on nobody is asked for a code
			if err := home.own.Apply(t.Context(), endFactors(account)); err != nil {
				t.Fatal(err)
			}
		}
		// An entry is answered before the ends that it commits are delivered.
		eventually(t, "nothing waits for delivery", func() bool { return len(keysOf(t, home.own, "deliver/")) == 0 })
		text, before := wire.EncodeJSON(request), home.records()
		var last []string // they succeed
		for what, body := range spoils(t, text, reflect.TypeOf(request)) {
			at, isAbsent := strings.CutSuffix(what, " absent")
			want := 400
			if status := absences[name+" "+at]; isAbsent && status != 0 {
				want = status
			} else if isAbsent && path == wire.PathPeerNotices {
				want = 200 // whatever is told, the answer says nothing
			}
			if want == 200 {
				last = append(last, body)
				continue
			}
			got := send(body)
			p := got.problem()
			if count++; got.status != want || want == 400 && (p.Code != wire.Invalid || p.Field == "") {
				t.Errorf("%s: %s: got %d %.200s, want %d", name, what, got.status, got.body, want)
			}
			if at, value, ok := strings.Cut(what, " is "); ok && value[0] != '"' && value != "01" && !strings.HasPrefix(p.Field, at) {
				t.Errorf("%s: %s: %s is named", name, what, p.Field)
			}
		}
		if got := send(string(text) + strings.Repeat(" ", vaultLimit)); got.status != 413 {
			t.Errorf("%s: too large: got %d %.200s", name, got.status, got.body)
		}
		if !maps.Equal(before, home.records()) {
			t.Errorf("%s: something was kept of what was refused", name)
		}
		if got := send(string(text)); got.status != 200 && got.status != 204 {
			t.Errorf("%s: unspoiled: got %d %.200s", name, got.status, got.body)
		}
		for _, body := range last {
			if got := send(body); got.status == 400 || got.status >= 500 {
				t.Errorf("%s: %s: got %d %.200s", name, body, got.status, got.body)
			}
		}
	}
	t.Logf("%d spoiled bodies", count)
}
