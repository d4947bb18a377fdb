package node

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A matrix is the table "Who may call what" of docs/security.md.
type matrix struct {
	callers []string
	rows    []matrixRow
}

type matrixRow struct {
	method, pattern, about string
	cells                  []string
}

func readMatrix(t *testing.T) (m matrix) {
	_, text, ok := strings.Cut(string(must(os.ReadFile("../docs/security.md"))), "\n## Who may call what\n")
	if !ok {
		t.Fatal("docs/security.md does not say who may call what")
	}
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, " |\n"), "| ")
		cells := strings.Split(line, " | ")
		switch {
		case !ok && m.rows != nil:
			return m
		case !ok || strings.HasPrefix(line, "---"):
		case m.callers == nil:
			m.callers = cells[2:]
		default:
			method, pattern, _ := strings.Cut(strings.Trim(cells[0], "`"), " ")
			m.rows = append(m.rows, matrixRow{method, pattern, cells[1], cells[2:]})
		}
	}
	return m
}

// A caller is one column: with what, and where, somebody asks.
type caller struct {
	at     *served
	person *testPerson // somebody unknown where there is only a session or a node
	token  *wire.Token
	node   *served // signs
}

// A request is what a caller sends. Params stand for the words of the pattern
// that begin with a colon, in order.
type request struct {
	at     *served // the caller's if nil
	params []string
	query  string // with the question mark
	body   any
	token  *wire.Token // the caller's if nil
	code   wire.FactorCode
}

// A trial is one row: what is asked, how it shows that something of ann's
// was served or changed, and the same about what does not exist.
type trial struct {
	ask    func(*caller) request
	shows  func(c *caller, a answer, changed bool) bool
	absent func(*caller) []request
}

// cast is who plays in the matrix.
type cast struct {
	home, other, west            *served
	ann, fay, fin, gus, exb, sue *testPerson
	ghost                        *testPerson
	callers                      map[string]*caller
	log                          *outsideLog // that home cosigns
}

func newCast(t *testing.T) *cast {
	w := newLiveWorld(t)
	x := &cast{home: w.host(), other: w.host(), west: w.host(), log: newOutsideLog(t, "example.com/log")}
	x.home.watched = must(ParseWitnessedLogs(x.log.vkey))
	shown := x.home.asked(t, 0)
	line := must(keyservice.Cosign(shown.Signed, "far.example", wire.NewNodeWitnessSecret([32]byte{1}), time.Now()))
	if err := x.home.keepCosignature(t.Context(), shown.New.Size, shown.Signed, line); err != nil {
		t.Fatal(err)
	}
	x.ann, x.ghost = x.home.person("ann"), x.home.newPerson("ghost")
	x.gus = x.home.person("gus")
	people := map[string]*testPerson{"ann": x.ann}
	for name, at := range map[string]*served{
		"friend": x.home, "friend elsewhere": x.other, "ex-friend": x.home, "ex-friend elsewhere": x.other,
		"asked": x.home, "asking": x.home, "stranger": x.home, "stranger elsewhere": x.other,
	} {
		people[name] = at.person(wire.Handle(strings.NewReplacer("-", "_", " ", "_").Replace(name)))
	}
	x.fay, x.fin, x.exb, x.sue = people["friend"], people["friend elsewhere"], people["ex-friend elsewhere"], people["stranger elsewhere"]
	for _, p := range []*testPerson{x.gus, x.fay, x.fin, people["ex-friend"], x.exb} {
		x.ann.befriend(p)
		p.wants(x.ann, wire.StateFriend, wire.StateFriend)
	}
	x.ann.tell(x.ann.offer(people["asked"]))
	people["asking"].tell(people["asking"].offer(x.ann))
	x.ann.putVault()
	x.ann.publish(x.ann.epoch(), x.ann.end(people["ex-friend"]), x.ann.end(x.exb))
	x.ann.wraps(x.ann.content, slices.Collect(maps.Values(people))...)
	x.ann.posts(1)
	x.fin.rotate(x.ann)
	eventually(t, "all is delivered", func() bool {
		return len(keysOf(t, x.home.own, "deliver/"))+len(keysOf(t, x.other.own, "deliver/")) == 0
	})
	x.other.pulls(x.home.testNode)
	x.home.pulls(x.other.testNode)
	x.callers = map[string]*caller{}
	for name, p := range people {
		at := x.home
		if p.home == x.other.testNode {
			at = x.other
		}
		x.callers[name] = x.caller(at, p)
	}
	ended, foreign := x.home.logsIn(x.ann).Token, x.other.logsIn(x.fin).Token
	if a := x.home.sends("DELETE", wire.PathSession, nil, bearer(ended)); a.status != 204 {
		t.Fatalf("%+v", a)
	}
	x.home.door.lifetime = time.Nanosecond
	expired := x.home.logsIn(x.ann).Token
	x.home.door.lifetime = DefaultSessionLifetime
	maps.Copy(x.callers, map[string]*caller{
		"nobody":            {at: x.home, person: x.ghost},
		"ended":             {at: x.home, person: x.ghost, token: &ended},
		"expired":           {at: x.home, person: x.ghost, token: &expired},
		"session elsewhere": {at: x.home, person: x.ghost, token: &foreign},
		"friend's node":     {at: x.home, person: x.ghost, node: x.other},
		"other node":        {at: x.home, person: x.ghost, node: x.west},
	})
	return x
}

func (x *cast) caller(at *served, p *testPerson) *caller {
	token := at.logsIn(p).Token
	return &caller{at: at, person: p, token: &token}
}

// sends sends what c asks for.
func (c *caller) sends(method, pattern string, q request) answer {
	at, token := c.at, c.token
	if q.at != nil {
		at = q.at
	}
	if q.token != nil {
		token = q.token
	}
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i], q.params = q.params[0], q.params[1:]
		}
	}
	path := strings.Join(parts, "/") + q.query
	var body []byte
	if raw, ok := q.body.([]byte); ok {
		body = raw
	} else if q.body != nil {
		body = wire.EncodeJSON(q.body)
	}
	var header []string
	if token != nil {
		header = append(header, bearer(*token))
	}
	if !q.code.IsZero() {
		header = append(header, wire.HeaderSecondFactor+": "+q.code.Reveal())
	}
	if c.node != nil {
		header = append(header, c.node.signs(at.name, method, path, body)...)
	}
	return at.sends(method, path, body, header...)
}

// textOf is how a statement stands in JSON.
func textOf(s wire.Signed) string { return string(must(s.MarshalText())) }

// trials are the rows, by what they are about.
func (x *cast) trials(t *testing.T) map[string]trial {
	nothing := func(*caller) request { return request{} }
	holds := func(text string) func(*caller, answer, bool) bool {
		return func(_ *caller, a answer, _ bool) bool { return strings.Contains(a.body, text) }
	}
	changes := func(_ *caller, _ answer, changed bool) bool { return changed }
	send := func(at *served, body any) func(*caller) request {
		return func(*caller) request { return request{at: at, body: body} }
	}
	id := func() string { return wire.Hash(random32()).String() }
	ann, audience := x.ann.account.String(), x.ann.audience.String()
	post := must(x.home.entry(t.Context(), x.home.streams.get(streamName{x.ann.account, x.ann.audience}), x.ann.stream.Seq)).entry()
	posted := textOf(post.Header)
	began := must(x.other.entry(t.Context(), x.other.streams.get(streamName{x.fin.account, x.fin.audience}), x.fin.stream.Seq)).entry()
	zoe := x.home.person("zoe")
	vault, next := x.ann.nextVault(), x.ann.post()
	x.ann.contact(x.gus)
	x.ann.contact(x.fin)
	x.ann.learn()
	withGus, withFin := x.ann.contact(x.gus).LiveOffers(), x.ann.contact(x.fin).LiveOffers()
	spare, second, third := x.home.logsIn(x.ann).Token, x.home.logsIn(x.ann).Token, x.home.logsIn(x.ann).Token
	has := func(token wire.Token) bool {
		return x.home.sends("GET", wire.PathSession, nil, bearer(token)).status == 200
	}
	end := func(offers ...wire.Hash) func(c *caller) request {
		return func(c *caller) request { return request{body: c.person.endOf(x.gus, offers...)} }
	}
	head := func(account wire.AccountID) func(*caller) request {
		return func(c *caller) request {
			q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: account, Node: x.other.name, Created: time.Now().UnixMilli()}
			return request{at: x.other, body: wire.HeadsRequest{Account: account, Query: must(q.Sign(c.person.identity))}}
		}
	}
	deliver := func(from *testPerson, f wire.FriendRequest) request {
		return request{at: x.home, body: wire.PeerFriendRequest{
			From: from.address, FromAccount: from.account, To: x.ann.address, ToAccount: x.ann.account, FriendStatement: f.FriendStatement,
		}}
	}
	syncOf := func(author *testPerson, text string, readers ...wire.SyncReader) trial {
		of := func(author wire.AccountID, audience wire.AudienceID) request {
			return request{at: x.home, body: wire.SyncRequest{Streams: []wire.SyncStream{{
				Author: author, Audience: audience, Readers: append([]wire.SyncReader{}, readers...),
			}}}}
		}
		return trial{
			ask:    func(*caller) request { return of(author.account, author.audience) },
			shows:  holds(text),
			absent: func(*caller) []request { return []request{of(random32(), random32()), of(author.account, random32())} },
		}
	}
	sync := func(reader *testPerson) trial { return syncOf(x.ann, posted, wire.SyncReader{Account: reader.account}) }
	notice := func(author *testPerson, after uint64, e wire.Entry) request {
		return request{at: x.home, body: wire.NoticeRequest{Streams: []wire.NoticedStream{{
			Author: author.account, Audience: author.audience, After: after, Head: after + 1, Entries: []wire.Entry{e}, Wraps: []wire.SyncedWrap{},
		}}}}
	}
	unread := func(*caller) []request { return []request{notice(x.ghost, 0, x.ghost.epoch())} }
	finger := func(resource string) request { return request{at: x.home, query: "?resource=" + resource} }
	fingerless := func(*caller) []request {
		return []request{finger("acct:ghost@" + string(x.home.name)), finger("acct:Ann@" + string(x.home.name)), finger("ann"), finger("acct%3A%00")}
	}
	var told wire.Entry
	handles := 0
	appliances := map[*testPerson]*appliance{}
	protected := func(c *caller) *appliance {
		if appliances[c.person] == nil {
			appliances[c.person] = newAppliance()
		}
		return appliances[c.person]
	}
	return map[string]trial{
		"the node's document":     {ask: nothing, shows: holds(`{"document":"`)},
		"whether the node serves": {ask: nothing, shows: holds(`"status":"ok"`)},
		"where its NodeInfo is":   {ask: nothing, shows: holds(`"rel":"` + wire.RelNodeInfo + `"`)},
		"its NodeInfo":            {ask: nothing, shows: holds(`"users":{}`)},
		"whether ann's address is registered": {
			ask: func(*caller) request { return finger("acct:" + x.ann.address.String()) }, shows: holds(`"subject":"acct:` + x.ann.address.String() + `"`),
		},
		"whether another address is": {
			ask: func(*caller) request { return finger("acct:" + x.fin.address.String()) }, shows: holds(`"subject"`), absent: fingerless,
		},
		"the checkpoint of the node's log": {ask: func(*caller) request {
			return request{at: x.home, params: []string{fmt.Sprint(x.home.logID.Number)}}
		}, shows: holds(x.home.logID.Origin(x.home.name))},
		"the cosigned checkpoint of the node's log": {ask: func(*caller) request {
			return request{at: x.home, params: []string{fmt.Sprint(x.home.logID.Number)}}
		}, shows: holds("— far.example/v1/witness ")},
		"leaves of the node's log": {ask: func(*caller) request {
			return request{at: x.home, params: []string{fmt.Sprint(x.home.logID.Number), "entries/000.p/1"}}
		}, shows: func(_ *caller, a answer, _ bool) bool { return len(a.body) > 100 }},
		"the page for browsers":         {ask: nothing, shows: holds("<!doctype html>")},
		"its service worker":            {ask: nothing, shows: holds("// keeps the page")},
		"a file of the page":            {ask: func(*caller) request { return request{at: x.home, params: []string{"abc", "a/b.css"}} }, shows: holds("p {}"), absent: func(*caller) []request { return []request{{at: x.home, params: []string{"abd", "a/b.css"}}} }},
		"which node the page came from": {ask: nothing, shows: holds(`{"node":"`)},
		"a cosignature of another log":  {ask: send(x.home, x.log.request(0)), shows: holds("/v1/witness ")},
		"a handle that is free": {ask: func(*caller) request {
			handles++
			return request{at: x.home, body: x.home.newPerson(wire.Handle("free" + strings.Repeat("x", handles))).register}
		}, shows: holds(`{"account":"`)},
		"ann's handle":        {ask: send(x.home, x.home.newPerson("ann").register), shows: holds(`{"account":"`)},
		"a challenge for ann": {ask: send(x.home, wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}), shows: holds(`"nonce":"`)},
		"a session of ann's, with the caller's password": {ask: func(c *caller) request {
			challenge := must(x.home.Challenge(t.Context(), wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, newAddress()))
			v := &visitor{handle: "ann", login: c.person.login}
			return request{at: x.home, body: v.answer(t, x.home.name, wire.PurposeLogin, challenge, nil)}
		}, shows: holds(ann)},
		"the newest head of ann's vault that was seen elsewhere": {
			ask: head(x.ann.account), shows: holds(textOf(x.ann.heads[1])),
			absent: func(c *caller) []request { return []request{head(random32())(c), head(x.sue.account)(c)} },
		},
		"who is logged in": {ask: nothing, shows: holds(ann)},
		"the end of a session": {ask: func(c *caller) request {
			switch c.person {
			case x.ghost:
				return request{}
			case x.ann:
				return request{token: &spare}
			}
			one := c.at.logsIn(c.person).Token
			return request{token: &one}
		}, shows: func(*caller, answer, bool) bool {
			return x.home.sends("GET", wire.PathSession, nil, bearer(spare)).status == 401
		}},
		"ann's sessions": {ask: nothing, shows: holds(idOf(second).String())},
		"the end of one of ann's sessions": {
			ask:    func(*caller) request { return request{params: []string{idOf(second).String()}} },
			shows:  func(*caller, answer, bool) bool { return !has(second) },
			absent: func(*caller) []request { return []request{{params: []string{id()}}} },
		},
		"the end of all sessions but the caller's": {ask: nothing, shows: func(*caller, answer, bool) bool { return !has(third) }},
		"whether ann has a second factor":          {ask: nothing, shows: func(c *caller, a answer, _ bool) bool { return c.person == x.ann && a.status == 200 }},
		"a second factor": {ask: func(c *caller) request {
			return request{body: protected(c).request(c.person.account, time.Now())}
		}, shows: changes},
		"other backup codes": {ask: func(c *caller) request {
			code := protected(c).takes()
			return request{code: code, body: wire.BackupRequest{Backup: protected(c).hashes(c.person.account)}}
		}, shows: changes},
		"the end of the second factor":    {ask: func(c *caller) request { return request{code: protected(c).takes()} }, shows: changes},
		"ann's vault":                     {ask: nothing, shows: holds(textOf(x.ann.heads[1]))},
		"the next version of ann's vault": {ask: send(nil, vault), shows: changes},
		"ann's keys": {ask: func(c *caller) request {
			return request{body: wire.KeysRequest{Address: x.ann.address}}
		}, shows: holds(textOf(x.ann.keys[0]))},
		"ann's friends and offers": {ask: nothing, shows: holds(x.gus.account.String())},
		"an offer in ann's name":   {ask: send(nil, x.ann.offer(zoe)), shows: changes},
		"the end of a friendship of ann's with somebody else": {
			ask: end(withGus...), shows: changes, absent: func(c *caller) []request { return []request{end(random32())(c)} },
		},
		"wraps for ann's epoch": {ask: send(nil, wire.WrapsRequest{
			Audience: x.ann.audience, Commitment: x.ann.content, Wraps: []wire.Wrap{x.ann.wrapFor(x.fay)},
		}), shows: changes},
		"the caller's wrap of ann's epoch": {
			ask: func(*caller) request { return request{params: []string{ann, audience, x.ann.content.String()}} },
			shows: func(c *caller, a answer, _ bool) bool {
				return strings.Contains(a.body, `"reader":"`+c.person.account.String()+`"`)
			},
			absent: func(*caller) []request {
				return []request{{params: []string{id(), id(), id()}}, {params: []string{ann, id(), id()}}, {params: []string{ann, audience, id()}}}
			},
		},
		"ann's next entry": {ask: send(nil, wire.PublishRequest{Entry: next}), shows: func(_ *caller, _ answer, changed bool) bool {
			if changed {
				x.ann.advance(next)
			}
			return changed
		}},
		"the caller's entry for ann's audience": {ask: func(c *caller) request {
			if c.person == x.ann {
				return request{body: wire.PublishRequest{Entry: x.ann.post()}}
			}
			p := *c.person
			p.audience, p.stream = x.ann.audience, wire.StreamHead{}
			return request{body: wire.PublishRequest{Entry: p.epoch()}}
		}, shows: changes},
		"ann's stream": {
			ask: func(*caller) request { return request{params: []string{ann, audience}} }, shows: holds(posted),
			absent: func(*caller) []request {
				return []request{{params: []string{id(), id()}}, {params: []string{ann, id()}}}
			},
		},
		"a post of ann's": {
			ask: func(*caller) request { return request{params: []string{post.ID().String()}} }, shows: holds(posted),
			absent: func(*caller) []request { return []request{{params: []string{id()}}} },
		},
		"ann's posts":         {ask: nothing, shows: holds(posted)},
		"the caller's events": {ask: nothing, shows: holds("event: feed\n")},

		"an offer to ann from a person of the asking node": {ask: func(c *caller) request {
			p := x.ghost
			if c.node != nil {
				p = c.node.person("newcomer")
			}
			return deliver(p, p.offer(x.ann))
		}, shows: changes},
		"the end of ann's friendship in the name of her friend elsewhere": {ask: func(*caller) request {
			p := *x.fin
			p.identity = x.ghost.identity
			return deliver(&p, p.endOf(x.ann, withFin...))
		}, shows: changes},
		"a tombstone in the name of ann's friend elsewhere": {ask: func(*caller) request {
			return deliver(x.fin, wire.FriendRequest{FriendStatement: wire.FriendStatement{
				Kind: wire.FriendTombstone, Statement: must(x.fin.tombstone().Sign(x.ghost.identity)),
			}})
		}, shows: changes},
		"the end of ann's account, for good": {ask: func(*caller) request {
			return request{body: wire.DeleteRequest{Tombstone: must(x.ann.tombstone().Sign(x.ann.identity))}}
		}, shows: changes},
		"an offer to ann in the name of somebody on her own node": {ask: func(*caller) request {
			return deliver(zoe, zoe.offer(x.ann))
		}, shows: changes},
		"ann's stream for her friend elsewhere":                          sync(x.fin),
		"ann's stream for her friend here":                               sync(x.fay),
		"ann's stream for her ex-friend elsewhere":                       sync(x.exb),
		"ann's stream for a stranger elsewhere":                          sync(x.sue),
		"ann's stream for nobody":                                        syncOf(x.ann, posted),
		"the copy of a stream of ann's friend elsewhere, for their home": syncOf(x.fin, textOf(began.Header)),
		"a post of ann's friend elsewhere, told by the asking node": {ask: func(c *caller) request {
			at := x.fin.stream
			told = x.fin.post()
			if c.node == x.other {
				x.fin.advance(told)
			}
			return notice(x.fin, at.Seq, told)
		}, shows: func(*caller, answer, bool) bool {
			s := x.home.streams.get(streamName{x.fin.account, x.fin.audience})
			return s != nil && s.state().ID == told.ID()
		}, absent: unread},
		"a post of ann's, told by the asking node": {ask: func(*caller) request { return notice(x.ann, x.ann.stream.Seq, x.ann.post()) }, shows: changes, absent: unread},
	}
}

// TestWhoMayCallWhat tries every cell of the matrix over HTTP, ann's own last:
// what she does is what the others were refused. A route without a row, and a
// row or caller without its other half, fails it.
func TestWhoMayCallWhat(t *testing.T) {
	m, x := readMatrix(t), newCast(t)
	trials := x.trials(t)
	if got, want := slices.Sorted(slices.Values(m.callers)), slices.Sorted(maps.Keys(x.callers)); !slices.Equal(got, want) {
		t.Fatalf("the callers are %q, want %q", got, want)
	}
	rows, abouts := map[string]bool{}, map[string]bool{}
	for _, row := range m.rows {
		rows[row.method+" "+row.pattern], abouts[row.about] = true, true
		if len(row.cells) != len(m.callers) || trials[row.about].ask == nil {
			t.Fatalf("%s %s: %d cells and trials about %q do not fit", row.method, row.pattern, len(row.cells), row.about)
		}
	}
	for _, name := range everyRoute(x.home.testNode) {
		if !rows[name] {
			t.Errorf("%s has no row", name)
		}
		delete(rows, name)
	}
	if len(rows) > 0 || len(abouts) != len(trials) {
		t.Errorf("rows about no route: %v; %d rows and %d trials", rows, len(abouts), len(trials))
	}
	order := slices.DeleteFunc(slices.Clone(m.callers), func(name string) bool { return name == "ann" })
	for _, row := range m.rows {
		var refused answer // the 401 of this row
		for _, name := range append(order, "ann") {
			x.try(t, row, name, row.cells[slices.Index(m.callers, name)], trials[row.about], &refused)
		}
	}
}

// everyRoute lists what a node serves, those of other nodes one by one.
func everyRoute(n *testNode) (all []string) {
	for _, rt := range routes() {
		if rt.method != "*" {
			all = append(all, rt.method+" "+rt.pattern)
		}
	}
	for _, path := range n.federationServer().Paths() {
		all = append(all, "POST "+path)
	}
	return all
}

// everything is what the people of all nodes have, and what of it is ann's.
func (x *cast) everything() (all [3]map[string]string, anns map[string]string) {
	anns = make(map[string]string)
	for i, n := range []*served{x.home, x.other, x.west} {
		all[i] = n.records()
		for key, value := range all[i] {
			if strings.Contains(key, "/"+x.ann.account.String()) && !strings.HasPrefix(key, "friend/") && !strings.HasPrefix(key, "wrap/") ||
				strings.HasPrefix(key, "friend/"+x.ann.account.String()+"/") || strings.HasPrefix(key, "wrap/"+x.ann.account.String()+"/") {
				anns[key] = value
			}
		}
	}
	return all, anns
}

// try tries one cell.
func (x *cast) try(t *testing.T, row matrixRow, name, cell string, a trial, refused *answer) {
	what := row.method + " " + row.pattern + " (" + row.about + ") by " + name + ": "
	c := x.callers[name]
	x.home.forgiven()
	q := a.ask(c)
	before, anns := x.everything()
	got := c.sends(row.method, row.pattern, q)
	after, annsAfter := x.everything()
	changed := !maps.Equal(anns, annsAfter)
	served, shows := got.status == 200 || got.status == 204, a.shows(c, got, changed)
	switch cell {
	case "yes":
		if !served || !shows {
			t.Errorf(what+"got %d %.300s, want it served", got.status, got.body)
		}
		return
	case "own":
		if !served || shows || changed {
			t.Errorf(what+"got %d %.300s (ann's %t, changed %t), want nothing of ann's", got.status, got.body, shows, changed)
		}
		if q.token != nil && c.at.sends("GET", wire.PathSession, nil, bearer(*q.token)).status != 401 {
			t.Error(what + "their own session goes on")
		}
		return
	case "end":
		f, _ := must2(x.home.friendship(t.Context(), pair{x.ann.account, x.exb.account}))
		ended := textOf(f.EndsMade[0].Statement)
		if !served || shows || !strings.Contains(got.body,
			`"head":0,"entries":[],"wraps":[],"closed":[{"account":"`+x.exb.account.String()+`","ends":["`+ended+`"]}]}]`) {
			t.Errorf(what+"got %d %.300s, want the end alone", got.status, got.body)
		}
	case "none":
		if !served || shows {
			t.Errorf(what+"got %d %.300s, want nothing", got.status, got.body)
		}
	default:
		if p := got.problem(); cell != strconv.Itoa(got.status) || shows || p.Status != got.status {
			t.Errorf(what+"got %d %.300s (ann's %t), want %s", got.status, got.body, shows, cell)
		}
	}
	for i := range before {
		if !maps.Equal(before[i], after[i]) {
			t.Error(what + "the store was changed")
		}
	}
	if cell == "401" {
		if *refused == (answer{}) {
			*refused = got
		}
		if got != *refused {
			t.Errorf(what+"got %+v, others %+v", got, *refused)
		}
	}
	if cell != "404" && cell != "none" {
		return
	}
	for i, q := range a.absent(c) {
		none := c.sends(row.method, row.pattern, q)
		if sync, ok := q.body.(wire.SyncRequest); ok && cell == "none" { // the answer repeats what was asked
			ask, none2 := a.ask(c).body.(wire.SyncRequest).Streams[0], sync.Streams[0]
			got.body = strings.ReplaceAll(strings.ReplaceAll(got.body, ask.Author.String(), "-"), ask.Audience.String(), "-")
			none.body = strings.ReplaceAll(strings.ReplaceAll(none.body, none2.Author.String(), "-"), none2.Audience.String(), "-")
		}
		if none != got {
			t.Errorf(what+"got %+v, and of what does not exist (%d) %+v", got, i, none)
		}
	}
}
