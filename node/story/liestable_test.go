package story_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Routes, as the lies name them.
const (
	onRegister  = "POST " + wire.PathRegister
	onChallenge = "POST " + wire.PathChallenge
	onLogin     = "POST " + wire.PathLogin
	onHeads     = "POST " + wire.PathHeads
	onRecovery  = "POST " + wire.PathRecovery
	onLogout    = "DELETE " + wire.PathSession
	onTombstone = "POST " + wire.PathTombstone
	onSession   = "GET " + wire.PathSession
	onSessions  = "GET " + wire.PathSessions
	onEndOthers = "DELETE " + wire.PathSessions
	onEndOne    = "DELETE " + wire.PathOneOfAll
	onFactor    = "GET " + wire.PathFactor
	onTurnOn    = "PUT " + wire.PathFactor
	onTurnOff   = "DELETE " + wire.PathFactor
	onBackup    = "PUT " + wire.PathBackup
	onVault     = "GET " + wire.PathVault
	onPutVault  = "PUT " + wire.PathVault
	onKeys      = "POST " + wire.PathKeys
	onFriends   = "GET " + wire.PathFriends
	onTell      = "POST " + wire.PathFriends
	onWraps     = "POST " + wire.PathWraps
	onWrap      = "GET " + wire.PathWrap
	onEntries   = "POST " + wire.PathEntries
	onStream    = "GET " + wire.PathStream
	onPost      = "GET " + wire.PathPost
	onFeed      = "GET " + wire.PathFeed
	onEvents    = "GET " + wire.PathEvents
	onDocument  = "GET " + wire.PathDocument
	onLogFile   = "GET " + wire.PathLogFile
	onLogTop    = "GET " + wire.PathLogTop
	onCosigned  = "GET " + wire.PathCosigned
)

// one is a lie that changes the good answers of one route.
func one[T any](route string, change func(s *liesScene, r *T)) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		return []told{alter(route, func(_ *exchange, r *T) { change(s, r) })}
	}
}

// adas is a lie about the stream of ada.
func adas(change func(s *liesScene, r *wire.StreamReply)) func(*liesScene, string) []told {
	return streamOf("ada", change)
}

func streamOf(who string, change func(s *liesScene, r *wire.StreamReply)) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		return []told{alter(onStream, func(x *exchange, r *wire.StreamReply) {
			if x.words()[0] == s.ids[who].String() {
				change(s, r)
			}
		})}
	}
}

// always tells lies that need nothing of the scene.
func always(lies ...told) func(*liesScene, string) []told {
	return func(*liesScene, string) []told { return lies }
}

// earlier does something on the device, leads the right node back to before it,
// and then has the node tell the truth as it is now.
func earlier(commands ...string) func(*liesScene, string) []told {
	return func(s *liesScene, home string) []told {
		for _, command := range commands {
			s.must(home, command)
		}
		s.restore(s.right)
		return nil
	}
}

// fork does one thing on the device and others on a second one, which was shown
// a node that had not heard of the first.
func fork(first string, others ...string) func(*liesScene, string) []told {
	return func(s *liesScene, home string) []told {
		s.must(home, first)
		s.restore(s.right)
		second := s.device(lie{on: "old", does: "feed"})
		for _, command := range others {
			s.must(second, command)
		}
		return nil
	}
}

// during does something on the device while lies are told.
func during(command string, lies ...told) func(*liesScene, string) []told {
	return func(s *liesScene, home string) []told {
		s.liar.tell(lies...)
		s.must(home, command)
		return nil
	}
}

// posts are where ada's posts stand in a page of the feed, newest first.
func (s *liesScene) posts(r *wire.FeedReply) (at []int) {
	for i, item := range r.Items {
		if item.Author == s.ids["ada"] && s.header(item.Entry).Kind == wire.KindPost {
			at = append(at, i)
		}
	}
	return at
}

// record is bob's friendship with somebody in a list.
func record(r *wire.FriendsReply, id wire.AccountID) *wire.FriendRecord {
	for i := range r.Friends {
		if r.Friends[i].Account == id {
			return &r.Friends[i]
		}
	}
	r.Friends = append(r.Friends, wire.FriendRecord{Account: id, EndsMade: []wire.Signed{}, EndsGot: []wire.Signed{}})
	return &r.Friends[len(r.Friends)-1]
}

// theirs is the record that a person of the right node has of another.
func (s *liesScene) theirs(who, other string) wire.FriendRecord {
	var r wire.FriendsReply
	s.ask(who, "GET", wire.PathFriends, nil, &r)
	f := *record(&r, s.ids[other])
	if len(f.OfferMade)+len(f.OfferGot) == 0 {
		s.t.Errorf("%s has nothing about %s to lie with", who, other)
	}
	return f
}

// wraps changes the wraps of ada's epochs that bob asks for.
func wraps(change func(s *liesScene, x *exchange, w *wire.Wrap)) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		return []told{alter(onWrap, func(x *exchange, w *wire.Wrap) { change(s, x, w) })}
	}
}

// both tells one lie about entries of ada in the feed and in her stream.
func both(change func(s *liesScene, entries []wire.Entry) []wire.Entry) func(*liesScene, string) []told {
	return func(s *liesScene, home string) []told {
		return append(adas(func(s *liesScene, r *wire.StreamReply) { r.Entries = change(s, r.Entries) })(s, home),
			alter(onFeed, func(_ *exchange, r *wire.FeedReply) {
				r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool {
					return i.Author == s.ids["ada"] && len(change(s, []wire.Entry{i.Entry})) == 0
				})
			}))
	}
}

// leaveOut takes entry number seq of ada from wherever it stands.
func leaveOut(seq uint64) func(s *liesScene, entries []wire.Entry) []wire.Entry {
	return func(s *liesScene, entries []wire.Entry) []wire.Entry {
		return slices.DeleteFunc(entries, func(e wire.Entry) bool { return s.header(e).Seq == seq })
	}
}

// flipped is b with one bit changed in the middle.
func flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// thief is the key of somebody who has nobody else's.
func thief() wire.IdentitySecret { return wire.NewIdentitySecret([32]byte{1, 2, 3}) }

// thiefsChain is somebody's chain with a statement behind it that a thief has signed.
func (s *liesScene) thiefsChain(who string) []wire.Signed {
	first, account, err := wire.OpenFirstKeyStatement(s.keys[who].Statements[0])
	if err != nil {
		s.t.Error(err)
		return nil
	}
	next := *first
	next.Account, next.Seq, next.Prev, next.Signer = account, 1, wire.Hash(account), wire.ByIdentity
	next.Identity = thief().Public()
	signed, err := next.Sign(thief())
	if err != nil {
		s.t.Error(err)
	}
	return append(slices.Clone(s.keys[who].Statements), signed)
}

// thiefsKeys are keys made up for the address of somebody.
func (s *liesScene) thiefsKeys(who string) []wire.Signed {
	first, _, err := wire.OpenFirstKeyStatement(s.keys[who].Statements[0])
	if err != nil {
		s.t.Error(err)
		return nil
	}
	mine := *first
	mine.Identity = thief().Public()
	signed, err := mine.Sign(thief())
	if err != nil {
		s.t.Error(err)
	}
	return []wire.Signed{signed}
}

// thiefsOffer makes of a record one with keys made up for the address of somebody,
// and an offer to bob under these.
func (s *liesScene) thiefsOffer(r *wire.FriendRecord, who string) {
	r.Account = wire.AccountID(s.thiefsKeys(who)[0].Hash(wire.LabelKeyStatement))
	from, to := s.at(who), s.at("bob")
	offer := &wire.Offer{
		Version: wire.Version, Suite: wire.Suite, From: r.Account, FromHandle: from.Handle, FromNode: from.Node,
		To: s.ids["bob"], ToHandle: to.Handle, ToNode: to.Node, Audience: wire.AudienceID{1}, Created: time.Now().UnixMilli(),
	}
	var err error
	if r.OfferGot, err = offer.Sign(thief()); err != nil {
		s.t.Error(err)
	}
}

// keysFor answers the question for somebody's keys with others.
func keysFor(who string, others func(s *liesScene) []wire.Signed) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		return []told{alter(onKeys, func(x *exchange, r *wire.KeysReply) {
			if strings.Contains(string(x.body), s.address(who)) {
				r.Statements = others(s)
			}
		})}
	}
}

// proofFor lies about the proof that the keys of somebody are in the log.
func proofFor(who string, other func(s *liesScene, proof []byte) []byte) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		return []told{alter(onKeys, func(x *exchange, r *wire.KeysReply) {
			if strings.Contains(string(x.body), s.address(who)) {
				r.Proof = other(s, r.Proof)
			}
		})}
	}
}

// spoiledFiles flips a bit in each file of a log.
func spoiledFiles(*liesScene, string) []told {
	return []told{{route: onLogFile, after: func(x *exchange) {
		if len(x.answer) > 20 {
			x.answer[20] ^= 1
		}
	}}}
}

// log is the path of the log of the right node.
func (s *liesScene) log() string {
	return string(regexp.MustCompile(`/v1/log/[0-9]+`).Find(s.keys["eve"].Proof))
}

// top is the newest checkpoint of the log of the right node.
func (s *liesScene) top() []byte {
	s.t.Helper()
	top, err := s.right.public(s.log() + "/" + keyservice.CheckpointFile)
	if err != nil {
		s.t.Fatal(err)
	}
	return top
}

// grows registers somebody on the right node.
func (s *liesScene) grows(who string) {
	s.t.Helper()
	home := s.device(lie{})
	s.went[home] = true
	if out, errs, err := s.command(home, who, "register "+who+"@"); err != nil {
		s.t.Fatalf("%s registers: %v, %s%s", who, err, out, errs)
	}
}

// raw answers a route with bytes of any kind.
func raw(route string, status int, contentType string, body func(w http.ResponseWriter)) func(*liesScene, string) []told {
	return always(told{route: route, before: func(x *exchange) {
		x.raw = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			body(w)
		}
	}})
}

func bytesOf(v any) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = w.Write(wire.EncodeJSON(v)) }
}

// endless writes until nobody listens any more.
func endless(w http.ResponseWriter) {
	chunk := []byte(strings.Repeat(" ", 1<<16))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// vaultOf is the whole vault of a person of the right node.
func (s *liesScene) vaultOf(who string) (v wire.VaultReply) {
	s.ask(who, "GET", wire.PathVault+"?after=0", nil, &v)
	return v
}

// onlyBob shows nothing of ada's.
func onlyBob(honest string) string {
	var posts []string
	for _, post := range strings.SplitAfter(honest, "\n\n") {
		if strings.Contains(post, "bob-") {
			posts = append(posts, post)
		}
	}
	return strings.Join(posts, "")
}

func nothing(string) string { return "" }

// madeUpPast shows an account that the recovery code fits, and that is not ada's: her half of
// safety numbers is another one.
func madeUpPast() lie {
	var half string
	return lie{"keys that a thief has made up, to who has lost the home", onRecovery, findsPast, "", one(onRecovery, func(s *liesScene, r *wire.RecoveryReply) {
		r.Statements = s.thiefsKeys("ada")
		k, account, err := wire.OpenFirstKeyStatement(r.Statements[0])
		if err != nil {
			s.t.Error(err)
			return
		}
		half = (&client.Past{Account: account, Keys: k}).Half()
	}), "", "the self key in key statement 0 of", func(honest string) string {
		return safetyHalf.ReplaceAllString(posts(0)(friendless(honest)), half)
	}, nil}
}

// friendless is what is printed of a past without friends.
func friendless(honest string) string {
	return regexp.MustCompile(`(?m)^  a friend: .*\n`).ReplaceAllString(honest, "")
}

// posts is what is printed of a past with so many posts.
func posts(n int) func(string) string {
	return func(honest string) string {
		return strings.Replace(honest, ": 3 posts, ", fmt.Sprintf(": %d posts, ", n), 1)
	}
}

// verifyAda is what bob types after he has met ada.
const verifyAda = "friend verify ada@ --safety-number NUMBER"

// verified tells lies after bob has verified ada on another device.
func verified(lies func(*liesScene, string) []told) func(*liesScene, string) []told {
	return func(s *liesScene, home string) []told {
		s.must(s.copyOf("bob"), verifyAda)
		s.went[home] = true
		return lies(s, home)
	}
}

// friendVerified shows ada as verified.
func friendVerified(honest string) string {
	return strings.Replace(honest, "friend, keys pinned\n", "friend, verified\n", 1)
}

func withoutFirst(honest string) string {
	_, rest, _ := strings.Cut(honest, "\n\n")
	return rest
}

// lies are all that are told, by route. The routes that no client asks for are
// in unasked.
var lies = slices.Concat(witnessLies, accountLies, vaultLies, friendLies, writeLies, streamLies, feedLies, answerLies)

// recovers is what bob types who has lost his password.
const (
	recovers   = "recover bob@ --recovery-code-file CODE"
	renewsCode = "recover --renew --recovery-code-file CODE"
	newKeys    = "recover bob@ --new-keys --recovery-code-file CODE"
	byCode     = "delete-account bob@ --yes --recovery-code-file CODE"
	findsPast  = "recover ada@ --from NODE --into FILE --recovery-code-file CODE" // from a node of friends, who lies
)

var accountLies = []lie{
	{"another account is registered", onRegister, "register fay@", "", one(onRegister, func(s *liesScene, r *wire.RegisterReply) { r.Account = s.ids["eve"] }),
		wire.Tampered, "has registered another account than was sent", nil, []string{onRegister}},
	{"an account is said to be registered", onRegister, "register fay@", "", func(s *liesScene, _ string) []told {
		return []told{swallow(onRegister, func(x *exchange) any {
			var in wire.RegisterRequest
			if err := wire.DecodeJSON(x.body, &in); err != nil {
				s.t.Error(err)
			}
			return wire.RegisterReply{Account: wire.AccountID(in.KeyStatement.Hash(wire.LabelKeyStatement))}
		})}
	}, wire.Tampered, "says that it has registered", nil, []string{onRegister}},
	{"weak parameters for the password", onChallenge, "login bob@", "", one(onChallenge, func(s *liesScene, r *wire.ChallengeReply) { r.Argon2.Memory /= 2 }),
		wire.Tampered, "asks for a weak or absurd treatment of the password", nil, nil},
	{"absurd parameters for the password", onChallenge, "login bob@", "", one(onChallenge, func(s *liesScene, r *wire.ChallengeReply) { r.Argon2.Time = 17 }),
		wire.Tampered, "asks for a weak or absurd treatment of the password", nil, nil},
	{"another salt", onChallenge, "login bob@", "", one(onChallenge, func(s *liesScene, r *wire.ChallengeReply) { r.Random[0]++ }),
		wire.Unauthenticated, "name or password is wrong", nil, nil},
	{"a challenge that lasts", onChallenge, "login bob@", "", one(onChallenge, func(s *liesScene, r *wire.ChallengeReply) { r.Expires += 1e7 }),
		wire.Clock, "one of the clocks is wrong", nil, nil},
	{"the account of somebody else", onLogin, "login bob@", "", one(onLogin, func(s *liesScene, r *wire.LoginReply) { r.Account = s.ids["eve"] }),
		wire.Tampered, "a session of another account than that of", nil, nil},
	{"the session of somebody else", onLogin, "login bob@", "", one(onLogin, func(s *liesScene, r *wire.LoginReply) { r.Token = s.tokens["eve"] }),
		wire.Tampered, "the vault that the node shows is not right", nil, nil},
	{"a session that is none", onLogin, "login bob@", "", one(onLogin, func(s *liesScene, r *wire.LoginReply) { r.Token = wire.NewToken([32]byte{1}) }),
		wire.Unavailable, "does not know the session that it opened", nil, nil},
	{"a log-out that fails", onLogout, "logout", "old", always(refuse(onLogout, wire.Internal)), "", "", nil, nil},
	{"a log-out that is not done", onLogout, "logout", "old", always(swallow(onLogout, nil)), "", "", nil, nil},
	{"the session of this device left out of the list", onSessions, "sessions", "old", one(onSessions, func(_ *liesScene, r *wire.SessionsReply) {
		r.Sessions = slices.DeleteFunc(r.Sessions, func(s wire.SessionInfo) bool { return s.Current })
	}), wire.Tampered, "does not list the session of this device", nil, nil},
	{"another session for that of this device", onSessions, "sessions", "old", one(onSessions, func(_ *liesScene, r *wire.SessionsReply) {
		for i := range r.Sessions {
			r.Sessions[i].Current = !r.Sessions[i].Current
		}
	}), wire.Tampered, "takes another session for that of this device", nil, nil},
	{"the end of a session that is not made", onEndOne, "sessions end SESSION", "old", always(swallow(onEndOne, nil)), wire.Tampered, "and still lists it", nil, nil},
	{"the end of all others that is not made", onEndOthers, "sessions end --others", "old", always(swallow(onEndOthers, nil)), wire.Tampered, "and still lists it", nil, nil},
	{"the end of a session that is not made, and left out of the list", onEndOne, "sessions end SESSION", "old", func(s *liesScene, _ string) []told {
		ended := false
		return []told{
			{route: onEndOne, before: func(x *exchange) { x.status, ended = http.StatusNoContent, true }},
			alter(onSessions, func(_ *exchange, r *wire.SessionsReply) {
				r.Sessions = slices.DeleteFunc(r.Sessions, func(one wire.SessionInfo) bool { return ended && one.ID == s.session })
			}),
		}
	}, "", "", func(honest string) string { return honest }, nil},
	{"more backup codes than there are", onFactor, "second-factor", "old", one(onFactor, func(_ *liesScene, r *wire.SecondFactorReply) {
		r.Kinds, r.Backup = []wire.FactorKind{wire.FactorTOTP}, wire.BackupCodes+1
	}), wire.Unavailable, "counts 11 backup codes", nil, nil},
	{"a second factor that is not on, said to be", onFactor, "second-factor", "old", one(onFactor, func(_ *liesScene, r *wire.SecondFactorReply) {
		r.Kinds, r.Backup = []wire.FactorKind{wire.FactorTOTP}, wire.BackupCodes
	}), "", "", func(honest string) string {
		return strings.Replace(honest, "is off: the password is enough.", "is on. Backup codes that were not used: 10.", 1)
	}, nil},
	{"a code wanted where there is no second factor", onTurnOff, "second-factor off", "old", always(refuse(onTurnOff, wire.SecondFactor)), wire.SecondFactor, "a code of your second factor is needed", nil, nil},
	{"a code wanted at the log-in", onLogin, "login bob@", "", always(refuse(onLogin, wire.SecondFactor)), wire.SecondFactor, "a code of your second factor is needed", nil, nil},
	{"a second factor that is not turned on", onTurnOn, "second-factor on", "old", always(swallow(onTurnOn, nil)), wire.Tampered, "says that it is changed, and does not show it", nil, nil},
	{"a second factor that is not turned off", onTurnOff, "second-factor off", "old", func(s *liesScene, home string) []told {
		return []told{swallow(onTurnOff, nil), alter(onFactor, func(_ *exchange, r *wire.SecondFactorReply) { r.Kinds = []wire.FactorKind{wire.FactorTOTP} })}
	}, wire.Tampered, "says that it is changed, and does not show it", nil, nil},
	{"new backup codes that are not kept, and one of the old ones gone", onBackup, "second-factor codes", "old", func(*liesScene, string) []told {
		swallowed := false
		return []told{{route: onBackup, before: func(x *exchange) { x.status, swallowed = http.StatusNoContent, true }}, alter(onFactor, func(_ *exchange, r *wire.SecondFactorReply) {
			if swallowed {
				r.Backup--
			}
		})}
	}, wire.Tampered, "says that it is changed, and does not show it", nil, nil},
	{"new backup codes that are not kept, and as many as there should be", onBackup, "second-factor codes", "old", always(swallow(onBackup, nil)), "", "", func(honest string) string { return honest }, nil},
	{"a deletion said to be made", onTombstone, "delete-account --yes", "old", always(swallow(onTombstone, nil)), wire.Tampered, "still serves its session", nil, []string{onTombstone}},
	{"a deletion that is not made, and a session said to have ended", onSession, "delete-account --yes", "old",
		always(swallow(onTombstone, nil), refuse(onSession, wire.Unauthenticated)), "", "", func(honest string) string { return honest }, []string{onTombstone}},
	{"a deletion said to be made, to who has the recovery code", onTombstone, byCode, "", always(swallow(onTombstone, nil)), wire.Tampered, "still serves its session", nil, []string{onTombstone}},
	{"keys that a thief has made up, to who deletes the account with its recovery code", onKeys, byCode, "", one(onKeys, func(s *liesScene, r *wire.KeysReply) { r.Statements = s.keys["eve"].Statements }),
		wire.Tampered, "another person's keys", nil, nil},
	{"the account of somebody else, to who deletes theirs with the recovery code", onLogin, byCode, "", one(onLogin, func(s *liesScene, r *wire.LoginReply) { r.Account = s.ids["eve"] }),
		wire.Tampered, "a session of another account than that of", nil, nil},
	{"a new password said to be kept", onPutVault, "passwd", "old", always(swallow(onPutVault, nil)), wire.Tampered, "has the new password, and does not show it", nil, []string{onPutVault}},
	{"a new password said to be late", onPutVault, "passwd", "old", always(refuse(onPutVault, wire.Conflict)), wire.Tampered, "as late, but shows no newer one than", nil, []string{onPutVault}},
	{"a new password said to be late that was kept", onPutVault, "passwd", "old", always(deny(onPutVault, wire.Conflict)), "", "", nil, nil},
	{"the vault of the old password beside the new one", onVault, "passwd", "old", func(s *liesScene, _ string) []told {
		old := s.vaultOf("bob")
		return []told{alter(onVault, func(_ *exchange, r *wire.VaultReply) {
			if r.Record != nil {
				r.Record.Slots = old.Record.Slots
			}
		})}
	}, wire.Tampered, "vault or slots are not those that were signed", nil, []string{onPutVault}},
	{"another salt, to who has the recovery code", onChallenge, recovers, "", one(onChallenge, func(s *liesScene, r *wire.ChallengeReply) { r.Random[0]++ }), "", "", nil, nil},
	{"a right recovery code called wrong", onLogin, recovers, "", always(refuse(onLogin, wire.Unauthenticated)), wire.Unauthenticated, "name or recovery code is wrong", nil, nil},
	{"the account of somebody else, to who has the recovery code", onLogin, recovers, "", one(onLogin, func(s *liesScene, r *wire.LoginReply) { r.Account = s.ids["eve"] }),
		wire.Tampered, "a session of another account than that of", nil, nil},
	{"the vault of somebody else, to who has the recovery code", onVault, recovers, "", one(onVault, func(s *liesScene, r *wire.VaultReply) { *r = s.vaultOf("eve") }),
		wire.Tampered, "the vault that the node shows is not right", nil, nil},
	{"the recovery slot of somebody else", onVault, recovers, "", one(onVault, func(s *liesScene, r *wire.VaultReply) {
		if r.Record != nil {
			r.Record.Slots = s.vaultOf("eve").Record.Slots
		}
	}), wire.Tampered, "vault or slots are not those that were signed", nil, nil},
	{"keys that a thief has made up, to who has the recovery code", onKeys, recovers, "", one(onKeys, func(s *liesScene, r *wire.KeysReply) { r.Statements = s.keys["eve"].Statements }),
		wire.Tampered, "another person's keys", nil, nil},
	{"a recovery said to be kept", onPutVault, recovers, "", always(swallow(onPutVault, nil)), wire.Tampered, "has the new recovery code, and does not show it", nil, []string{onPutVault}},
	{"new keys said to be kept", onPutVault, newKeys, "", always(swallow(onPutVault, nil)), wire.Tampered, "has the new recovery code, and does not show it", nil, []string{onPutVault}},
	{"a new recovery code said to be kept", onPutVault, renewsCode, "old", always(swallow(onPutVault, nil)), wire.Tampered, "has the new recovery code, and does not show it", nil, []string{onPutVault}},
	{"a new recovery code said to be late", onPutVault, renewsCode, "old", always(refuse(onPutVault, wire.Conflict)), wire.Tampered, "as late, but shows no newer one than", nil, []string{onPutVault}},
	{"a new recovery code kept without its vault", onPutVault, renewsCode, "old", func(s *liesScene, _ string) []told {
		old := s.vaultOf("bob")
		return []told{alter(onVault, func(_ *exchange, r *wire.VaultReply) {
			if r.Record != nil {
				r.Record.Vault = old.Record.Vault
			}
		})}
	}, wire.Tampered, "it names key statement 1, which is not what it is signed under", nil, []string{onPutVault}},
	{"a vault head of somebody else, to a friend's new device", onHeads, "login ada@", "", one(onHeads, func(s *liesScene, r *wire.HeadsReply) {
		r.Head = s.vaultOf("eve").Heads[0]
	}), "", "none of your friends' nodes could be asked", nil, nil},
	{"no vault head, to a friend's new device", onHeads, "login ada@", "", always(refuse(onHeads, wire.NotExist)), "", "none of your friends' nodes could be asked", nil, nil},
	{"the keys of somebody else, to who has lost the home", onRecovery, findsPast, "", one(onRecovery, func(s *liesScene, r *wire.RecoveryReply) { r.Statements = s.keys["eve"].Statements }),
		wire.Tampered, "shows the keys of", nil, nil},
	madeUpPast(),
	{"another past than was signed", onRecovery, findsPast, "", one(onRecovery, func(_ *liesScene, r *wire.RecoveryReply) {
		for i := range r.Entries {
			r.Entries[i].Body = flipped(r.Entries[i].Body)
		}
	}), "", "the body is not the one that was signed", posts(0), nil},
	{"a friend who is none, to who has lost the home", onRecovery, findsPast, "", one(onRecovery, func(_ *liesScene, r *wire.RecoveryReply) {
		for i := range r.Friends {
			r.Friends[i].OfferGot = flipped(r.Friends[i].OfferGot)
		}
	}), "", "names a friend who is none", friendless, nil},
	{"the beginning of a past left out", onRecovery, findsPast, "", one(onRecovery, func(s *liesScene, r *wire.RecoveryReply) {
		r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { return s.header(e).Seq == 2 })
	}), "", "entry 2 is missing", posts(2), nil},
	{"less of a past than there is said to be", onRecovery, findsPast, "", one(onRecovery, func(s *liesScene, r *wire.RecoveryReply) {
		r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { return s.header(e).Seq > 4 })
	}), "", "entries, and shows none after entry 4", posts(2), nil},
	{"the newest of a past withheld", onRecovery, findsPast, "", one(onRecovery, func(s *liesScene, r *wire.RecoveryReply) {
		r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { return s.header(e).Seq > 4 })
		for i := range r.Streams {
			r.Streams[i].Head = 4
		}
	}), "", "", posts(2), nil},
}

// cosigned answers kay, whose friends' nodes are witnesses, with what it makes of the
// cosigned checkpoint: the bytes of the checkpoint, and the line of each witness.
func cosigned(change func(s *liesScene, top []byte, by func(*server) []byte) []byte) func(*liesScene, string) []told {
	return func(s *liesScene, _ string) []told {
		text, _, _ := bytes.Cut(s.cosigned, []byte("\n\n"))
		rest := bytes.SplitAfter(s.cosigned[len(text)+2:], []byte("\n"))
		by := func(n *server) []byte {
			i := slices.IndexFunc(rest, func(line []byte) bool { return bytes.Contains(line, []byte(n.name+"/v1/witness ")) })
			return rest[i]
		}
		answer := change(s, slices.Concat(text, []byte("\n\n"), rest[0]), by)
		return []told{{route: onCosigned, after: func(x *exchange) { x.answer = answer }}}
	}
}

// notConfirmed shows keys as pinned that are confirmed otherwise.
func notConfirmed(honest string) string {
	return strings.Replace(honest, "keys confirmed", "keys pinned", 1)
}

// They come first: the witnesses remember what the log of the right node grew to in others.
var witnessLies = []lie{
	{"a cosigned checkpoint that no witness has signed", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		return slices.Concat(top, by(s.third)[:len(by(s.third))-12], []byte("AAAAAAAAAAA="), []byte("\n"), by(s.left))
	}), "", "", notConfirmed, nil},
	{"the cosignature of one witness twice", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		return slices.Concat(top, by(s.third), by(s.third))
	}), "", "", notConfirmed, nil},
	{"the cosignatures of one witness and of one's own home", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		return slices.Concat(top, by(s.third), by(s.left))
	}), "", "", notConfirmed, nil},
	{"the cosignatures of one witness and of a node of nobody", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		made := must(keyservice.Cosign(top, "localhost:1", wire.NewNodeWitnessSecret([32]byte{1}), time.Now()))
		return slices.Concat(top, by(s.fourth), made)
	}), "", "", notConfirmed, nil},
	{"the cosignatures of one witness, and of the liar itself", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		made := must(keyservice.Cosign(top, wire.NodeName(s.right.name), wire.NewNodeWitnessSecret([32]byte{1}), time.Now()))
		return slices.Concat(top, by(s.fourth), made)
	}), "", "", notConfirmed, nil},
	{"nothing cosigned", onCosigned, "friend list", "kay", always(refuse(onCosigned, wire.NotExist)), "", "", notConfirmed, nil},
	{"a cosigned checkpoint of another log", onCosigned, "friend list", "kay", cosigned(func(s *liesScene, top []byte, by func(*server) []byte) []byte {
		return bytes.ReplaceAll(s.cosigned, []byte(s.right.name), []byte(s.left.name))
	}), "", "what is shown as cosigned is not of it", notConfirmed, nil},
	{"a second log that others have cosigned", onCosigned, "friend add dan@", "kay", func(s *liesScene, _ string) []told {
		if s.forked == nil {
			s.grows("fay")
			s.forked = s.untilCosigned(s.third, s.fourth)
		}
		s.restore(s.nodes()...)
		for _, witness := range []*server{s.third, s.fourth} { // this one they do not cosign
			s.operates(s.right, "admin", "peer", "block", witness.name, "--data", s.right.data)
		}
		s.grows("gus")
		return []told{{route: onCosigned, after: func(x *exchange) { x.status, x.answer = http.StatusOK, s.forked }}}
	}, wire.Tampered, "has signed two that contradict each other: one was shown to you", nil, nil},
}

var vaultLies = []lie{
	{"the vault rolled back", onVault, "friend list", "old", earlier("friend accept dan@"), wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the vault forked", onVault, "friend list", "old", fork("friend decline dan@", "friend accept dan@", "friend remove dan@"), wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the vault forked, with as many versions", onVault, "friend add eve@", "old", fork("friend accept dan@", "friend decline dan@"),
		wire.Tampered, "as late, but shows no newer one than", nil, []string{onPutVault}},
	{"the vault rolled back, before a post", onVault, "post hello", "old", earlier("friend accept dan@"), wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the vault rolled back, to a new device", onVault, "login bob@", "", func(s *liesScene, home string) []told {
		second := s.device(lie{on: "old", does: "feed"})
		s.must(second, "friend accept dan@")
		s.must(second, "friend remove dan@") // the epoch has the newest head in it, and ada's node gets it
		s.must(second, "post marker")
		s.until(s.copyOf("ada"), "feed", "marker")
		s.restore(s.right)
		return nil
	}, wire.Tampered, "shows an old or forked vault", nil, nil},
	{"the vault of somebody else", onVault, "friend list", "old", one(onVault, func(s *liesScene, r *wire.VaultReply) { *r = s.vaultOf("eve") }),
		wire.Tampered, "the vault that the node shows is not right", nil, nil},
	{"the vault of somebody else, to a new device", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { *r = s.vaultOf("eve") }),
		wire.Tampered, "the vault that the node shows is not right", nil, nil},
	{"a gap in the heads", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Heads = slices.Delete(r.Heads, 1, 2) }),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the first heads left out", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Heads = r.Heads[1:] }),
		wire.Tampered, "its history begins with version 2", nil, nil},
	{"the newest heads left out", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Heads = r.Heads[:len(r.Heads)-1] }),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"heads without the vault", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Record = nil }),
		wire.Tampered, "and not the vault", nil, nil},
	{"other bytes in the vault", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Record.Vault = flipped(r.Record.Vault) }),
		wire.Tampered, "vault or slots are not those that were signed", nil, nil},
	{"the password slot of somebody else", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) { r.Record.Slots = s.vaultOf("eve").Record.Slots }),
		wire.Tampered, "vault or slots are not those that were signed", nil, nil},
	{"another recovery slot", onVault, "login bob@", "", one(onVault, func(s *liesScene, r *wire.VaultReply) {
		slots, err := wire.DecodeSlots(r.Record.Slots)
		if err == nil {
			slots.RecoverySlot = flipped(slots.RecoverySlot)
			r.Record.Slots, err = slots.Encode()
		}
		if err != nil {
			s.t.Error(err)
		}
	}), wire.Tampered, "vault or slots are not those that were signed", nil, nil},
	{"a vault said to be late", onPutVault, "friend accept dan@", "old", always(refuse(onPutVault, wire.Conflict)),
		wire.Tampered, "as late, but shows no newer one than", nil, []string{onPutVault}},
	{"a vault said to be late that was kept", onPutVault, "friend accept dan@", "old", always(deny(onPutVault, wire.Conflict)), "", "", nil, nil},
	{"the vault rolled back to before a friend was verified", onVault, "friend list", "old", earlier(verifyAda),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the vault rolled back to before a friend was verified, before a post", onVault, "post hello", "old", earlier(verifyAda),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"the vault rolled back to before a friend was verified, to a new device", onVault, "login bob@", "", func(s *liesScene, _ string) []told {
		s.must(s.copyOf("bob"), verifyAda)
		s.restore(s.right) // nobody else knows of the mark; the pins are what they were
		return nil
	}, "", "", nil, nil},
	{"a vault with a mark said to be kept", onPutVault, "friend list", "old", during(verifyAda, swallow(onPutVault, nil)),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
	{"a vault said to be kept", onPutVault, "friend list", "old", during("friend accept dan@", swallow(onPutVault, nil)),
		wire.Tampered, "a vault that was rolled back or forked", nil, nil},
}

var friendLies = []lie{
	{"keys of somebody else", onKeys, "feed", "new", keysFor("ada", func(s *liesScene) []wire.Signed { return s.keys["eve"].Statements }),
		wire.Tampered, "another person's keys", nil, nil},
	{"keys that a thief has made up", onKeys, "feed", "new", keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsKeys("ada") }),
		wire.Tampered, "another person's keys", nil, nil},
	{"newer keys that a thief has signed", onKeys, "feed", "new", keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsChain("ada") }),
		wire.Tampered, "do not verify", nil, nil},
	{"no keys at all", onKeys, "feed", "new", keysFor("ada", func(s *liesScene) []wire.Signed { return []wire.Signed{} }),
		wire.Tampered, "do not verify", nil, nil},
	{"a friend who is said not to exist", onKeys, "feed", "new", always(refuse(onKeys, wire.NotExist)), wire.Tampered, "the node has no keys of", nil, nil},
	{"newer keys that a thief has signed, before a wrap", onKeys, "friend accept dan@", "old", keysFor("dan", func(s *liesScene) []wire.Signed { return s.thiefsChain("dan") }),
		wire.Tampered, "do not verify", nil, nil},
	{"keys that a thief has made up, before a wrap", onKeys, "friend accept dan@", "old", keysFor("dan", func(s *liesScene) []wire.Signed { return s.thiefsKeys("dan") }),
		wire.Tampered, "another person's keys", nil, nil},
	{"keys of somebody else, at first contact", onKeys, "friend add eve@", "old", keysFor("eve", func(s *liesScene) []wire.Signed { return s.keys["carol"].Statements }),
		wire.Tampered, "the node shows the keys of carol@", nil, nil},
	{"one's own keys, at first contact", onKeys, "friend add eve@", "old", keysFor("eve", func(s *liesScene) []wire.Signed { return s.keys["bob"].Statements }),
		wire.Tampered, "the node shows the keys of bob@", nil, nil},
	{"keys and an offer that a thief has made up, at first contact", onKeys, "friend verify dan@ --safety-number NUMBER", "old", func(s *liesScene, _ string) []told {
		return []told{
			{route: onKeys, before: func(x *exchange) {
				if strings.Contains(string(x.body), s.address("dan")) {
					x.status, x.answer = http.StatusOK, wire.EncodeJSON(&wire.KeysReply{Statements: s.thiefsKeys("dan"), AsOf: time.Now().UnixMilli()})
				}
			}},
			alter(onFriends, func(_ *exchange, r *wire.FriendsReply) { s.thiefsOffer(record(r, s.ids["dan"]), "dan") }),
		}
	}, wire.Tampered, "what is shown as proof is not of it: there is none", nil, nil},
	{"keys that a thief has made up, to who compares", onKeys, verifyAda, "old", keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsKeys("ada") }),
		wire.Tampered, "another person's keys", nil, nil},
	{"newer keys that a thief has signed, to who compares", onKeys, verifyAda, "old", keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsChain("ada") }),
		wire.Tampered, "do not verify", nil, nil},
	{"other keys for a verified friend, to a new device", onKeys, "feed", "new", verified(keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsKeys("ada") })),
		wire.Tampered, "another person's keys", nil, nil},
	{"newer keys for a verified friend, to a new device", onKeys, "friend list", "new", verified(keysFor("ada", func(s *liesScene) []wire.Signed { return s.thiefsChain("ada") })),
		"", "do not verify", friendVerified, nil},

	{"keys that a thief has made up, at first contact", onKeys, "friend add eve@", "old", keysFor("eve", func(s *liesScene) []wire.Signed { return s.thiefsKeys("eve") }),
		wire.Tampered, "are not in it", nil, nil},
	{"keys without a proof, at first contact", onKeys, "friend add eve@", "old", proofFor("eve", func(*liesScene, []byte) []byte { return nil }),
		wire.Tampered, "what is shown as proof is not of it: there is none", nil, nil},
	{"the proof of somebody else, at first contact", onKeys, "friend add eve@", "old", proofFor("eve", func(s *liesScene, _ []byte) []byte { return s.keys["carol"].Proof }),
		wire.Tampered, "are not in it", nil, nil},
	{"a proof that the log has not signed, at first contact", onKeys, "friend add eve@", "old", proofFor("eve", func(_ *liesScene, proof []byte) []byte {
		return bytes.Replace(proof, []byte("\n4\n"), []byte("\n5\n"), 1)
	}), wire.Tampered, "what is shown as proof is not of it: it does not verify", nil, nil},
	{"a proof of another log, and a document under another root", onKeys, "login bob@", "old", func(s *liesScene, home string) []told {
		s.must(home, "login bob@") // sees the log
		return append(proofFor("bob", func(s *liesScene, proof []byte) []byte {
			return bytes.ReplaceAll(proof, []byte("/v1/log/"), []byte("/v1/log/9"))
		})(s, home),
			swallow(onDocument, func(*exchange) any { return documentOf(s.t, s.right.name, s.right.name, 1<<40) }))
	}, wire.Tampered, "under another root key than was seen before", nil, nil},
	{"one's own keys without a proof", onKeys, "login bob@", "", proofFor("bob", func(*liesScene, []byte) []byte { return nil }),
		wire.Tampered, "what is shown as proof is not of it: there is none", nil, nil},
	{"a log that has gone back", onKeys, "login bob@", "old", func(s *liesScene, home string) []told {
		s.grows("fay")
		s.must(home, "login bob@")
		s.restore(s.nodes()...)
		return nil
	}, wire.Tampered, "it has gone back: it had 5 statements when it was last seen, and shows 4", nil, nil},
	{"a log that forks", onKeys, "login bob@", "old", func(s *liesScene, home string) []told {
		s.grows("fay")
		s.must(home, "login bob@")
		s.restore(s.nodes()...)
		s.grows("gus")
		return nil
	}, wire.Tampered, "it shows something else than before, or to others", nil, nil},
	{"a log whose files do not add up", onLogFile, "login bob@", "", spoiledFiles, wire.Tampered, "its files do not add up to its checkpoint", nil, nil},
	{"a log whose files do not add up, at first contact", onLogFile, "friend add eve@", "old", func(s *liesScene, home string) []told {
		s.grows("fay") // what was seen of the log is not all of it any more
		return spoiledFiles(s, home)
	}, wire.Tampered, "its files do not add up to its checkpoint", nil, nil},
	{"a log without its files", onLogFile, "login bob@", "", always(refuse(onLogFile, wire.NotExist)), wire.Tampered, "is missing in it", nil, nil},
	{"the newest checkpoint of another log, to who has it from elsewhere", onLogTop, "friend accept eve@", "ada", func(s *liesScene, _ string) []told {
		s.grows("fay")
		top := s.top()
		s.restore(s.nodes()...)
		s.grows("gus")
		return []told{{route: onLogTop, after: func(x *exchange) { x.answer = top }}}
	}, wire.Tampered, "passes on another one than", nil, nil},
	{"a newest checkpoint that the log has not signed, to who has it from elsewhere", onLogTop, "friend accept eve@", "ada", always(told{route: onLogTop, after: func(x *exchange) {
		x.answer = bytes.Replace(x.answer, []byte("\n4\n"), []byte("\n5\n"), 1)
	}}), wire.Tampered, "itself shows as its newest checkpoint is none", nil, nil},
	{"no newest checkpoint, to who has it from elsewhere", onLogTop, "friend accept eve@", "ada", always(refuse(onLogTop, wire.NotExist)), wire.Tampered, "its newest checkpoint is missing in it", nil, nil},
	{"a node too busy to show its newest checkpoint, to who has it from elsewhere", onLogTop, "friend accept eve@", "ada", always(refuse(onLogTop, wire.Throttled)), "", "itself could not be asked for its log of keys", nil, nil},
	{"files of a log cut short", onLogFile, "login bob@", "", always(told{route: onLogFile, after: func(x *exchange) { x.answer = x.answer[:len(x.answer)-1] }}),
		wire.Tampered, "the log of keys of", nil, nil},

	{"a friend who was never made", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["eve"])
		f.Address, f.State = s.at("eve"), wire.StateFriend
	}), "", "", nil, nil},
	{"a friend who was never made, before a post", onFriends, "post hello", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["eve"])
		f.Address, f.State = s.at("eve"), wire.StateFriend
	}), "", "", nil, nil},
	{"an offer to somebody else", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["eve"])
		f.Address, f.State, f.OfferGot = s.at("eve"), wire.StateIncoming, s.theirs("eve", "ada").OfferMade
	}), "", "", nil, nil},
	{"an offer to somebody else, accepted", onFriends, "friend accept dan@", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		record(r, s.ids["dan"]).OfferGot = s.theirs("eve", "ada").OfferMade
	}), wire.Tampered, "has not made to you", nil, nil},
	{"the offer of somebody else under a friend's name", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		record(r, s.ids["ada"]).OfferGot = s.theirs("eve", "ada").OfferMade
	}), "", "has not made to you", nil, nil},
	{"an acceptance that nobody has signed", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["ada"])
		f.AcceptGot = flipped(f.OfferGot)
	}), "", "has not made to you", nil, nil},
	{"the acceptance of an offer to somebody else", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		record(r, s.ids["ada"]).AcceptGot = s.theirs("carol", "ada").AcceptMade
	}), "", "has not made to you", nil, nil},
	{"a friend said to have deleted their account", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		first := s.keys["ada"].Statements[0]
		stone := &wire.Tombstone{
			Version: wire.Version, Suite: wire.Suite, Account: s.ids["ada"], Statement: first.Hash(wire.LabelKeyStatement),
			Handle: "ada", Node: wire.NodeName(s.left.name), Signer: wire.ByIdentity, Created: time.Now().UnixMilli(),
		}
		signed, err := stone.Sign(thief())
		if err != nil {
			s.t.Error(err)
		}
		f := record(r, s.ids["ada"])
		f.State, f.Tombstone = wire.StateNone, signed
	}), "", "has not signed that", nil, nil},
	{"an end that nobody has signed", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		end := &wire.End{Version: wire.Version, Suite: wire.Suite, From: s.ids["ada"], To: s.ids["bob"], Offers: []wire.Hash{{1}}, Created: time.Now().UnixMilli()}
		signed, err := end.Sign(thief())
		if err != nil {
			s.t.Error(err)
		}
		f := record(r, s.ids["ada"])
		f.State, f.EndsGot = wire.StateNone, append(f.EndsGot, signed)
	}), "", "has not made to you", nil, nil},
	{"the end of a friend's other friendship", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["ada"])
		f.EndsGot = append(f.EndsGot, s.theirs("carol", "ada").EndsGot...)
	}), "", "has not made to you", nil, nil},
	{"the friendship of an ex-friend without its end", onFriends, "post hello", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		f := record(r, s.ids["carol"])
		theirs := s.theirs("carol", "bob")
		f.Address, f.State = s.at("carol"), wire.StateFriend
		f.OfferMade, f.AcceptGot, f.EndsMade = theirs.OfferGot, theirs.AcceptMade, []wire.Signed{}
	}), "", "", nil, nil},
	{"a friend at another address", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		record(r, s.ids["ada"]).Address = s.at("eve")
	}), "", "is found at", nil, nil},
	{"another account at a friend's address", onFriends, "friend list", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) {
		record(r, s.ids["ada"]).Account = s.ids["eve"]
	}), "", "another account for", nil, nil},
	{"no friends at all", onFriends, "post hello", "old", one(onFriends, func(s *liesScene, r *wire.FriendsReply) { r.Friends = []wire.FriendRecord{} }), "", "", nil, nil},

	{"another friendship in answer to a statement", onTell, "friend accept dan@", "old", one(onTell, func(s *liesScene, r *wire.FriendReply) {
		r.Friend = s.theirs("bob", "ada")
	}), "", "another account for", nil, nil},
	{"a statement said to be too late", onTell, "friend accept dan@", "old", always(refuse(onTell, wire.Conflict)), wire.Conflict, "another device of yours was faster", nil, []string{onPutVault, onWraps, onTell}},
	{"a statement said to be passed on", onTell, "friend accept dan@", "old", func(s *liesScene, _ string) []told {
		return []told{swallow(onTell, func(*exchange) any { return wire.FriendReply{Friend: s.theirs("bob", "dan")} })}
	}, "", "", nil, nil},
}

var writeLies = []lie{
	{"wraps said to be kept", onWraps, "friend accept dan@", "old", always(swallow(onWraps, nil)), "", "", nil, nil},
	{"wraps refused", onWraps, "friend accept dan@", "old", always(refuse(onWraps, wire.Internal)), wire.Internal, "failed to answer", nil, []string{onPutVault, onWraps}},
	{"another entry acknowledged", onEntries, "post hello", "old", one(onEntries, func(s *liesScene, r *wire.PublishReply) { r.ID[0]++ }),
		wire.Tampered, "acknowledges another entry than was sent", nil, []string{onEntries}},
	{"a post said to be kept", onEntries, "read bob@", "old", func(s *liesScene, home string) []told {
		return during("post hello", swallow(onEntries, s.acknowledge))(s, home)
	}, wire.Tampered, "were rolled back", nil, nil},
	{"a post said to be kept, and the next one", onEntries, "post again", "old", func(s *liesScene, home string) []told {
		return during("post hello", swallow(onEntries, s.acknowledge))(s, home)
	}, wire.Tampered, "were rolled back", nil, nil},
	{"a post said to be late", onEntries, "post hello", "old", always(refuse(onEntries, wire.Conflict)),
		wire.Tampered, "as late, but shows no newer one than", nil, []string{onEntries}},
	{"a post said to be late that was kept", onEntries, "post hello", "old", always(deny(onEntries, wire.Conflict)), "", "", nil, nil},
	{"an epoch said to be late", onEntries, "friend remove ada@", "old", always(refuse(onEntries, wire.Conflict)),
		wire.Tampered, "as late, but shows no newer one than", nil, []string{onPutVault, onWraps, onEntries}},
	{"ends said to be wrong", onEntries, "friend remove ada@", "old", func(s *liesScene, _ string) []told {
		return []told{{route: onEntries, before: func(x *exchange) {
			var in wire.PublishRequest
			if wire.DecodeJSON(x.body, &in) == nil && len(in.Ends) > 0 {
				x.problem(wire.NotExist)
			}
		}}}
	}, "", "", nil, nil},
	{"ends dropped from a record", onEntries, "friend remove ada@", "old", func(s *liesScene, _ string) []told {
		return []told{amend(onEntries, func(_ *exchange, in *wire.PublishRequest) { in.Ends = nil })}
	}, "", "", nil, nil},
}

// acknowledge says that an entry is on disk.
func (s *liesScene) acknowledge(x *exchange) any {
	var in wire.PublishRequest
	if err := wire.DecodeJSON(x.body, &in); err != nil {
		s.t.Error(err)
	}
	return wire.PublishReply{ID: in.Entry.ID(), Arrival: time.Now().UnixMilli()}
}

var streamLies = []lie{
	{"one's own posts rolled back", onStream, "read bob@", "old", earlier("post hello"), wire.Tampered, "were rolled back", nil, nil},
	{"one's own posts rolled back, before a post", onStream, "post again", "old", earlier("post hello"), wire.Tampered, "were rolled back", nil, nil},
	{"an epoch rolled back, before a post", onStream, "post again", "old", func(s *liesScene, home string) []told {
		s.must(home, "friend remove ada@")
		s.restore(s.right)
		return []told{alter(onVault, func(_ *exchange, r *wire.VaultReply) { *r = wire.VaultReply{Heads: []wire.Signed{}} })}
	}, wire.Tampered, "were rolled back", nil, nil},
	{"one's own posts gone", onStream, "read bob@", "old", always(refuse(onStream, wire.NotExist)), wire.Tampered, "were rolled back", nil, nil},
	{"one's own posts gone, before a post", onStream, "post hello", "old", always(refuse(onStream, wire.NotExist)), wire.Tampered, "were rolled back", nil, nil},
	{"one's own posts forked", onStream, "read bob@", "old", fork("post hello", "post other"), wire.Tampered, "is not the one that was seen before", nil, nil},
	{"one's own posts forked, before a post", onStream, "post again", "old", func(s *liesScene, home string) []told {
		return fork("post hello", "post other")(s, home)
	}, wire.Tampered, "as late, but shows no newer one than", nil, []string{onEntries}},
	{"the newest left out, to a new device", onStream, "read ada@", "new", adas(withoutNewest), "", "", withoutFirst, nil},
	{"the newest left out", onStream, "read ada@", "old", adas(withoutNewest), "", "it shows less than was seen here before", withoutFirst, nil},
	{"the newest left out and counted", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries = r.Entries[:len(r.Entries)-1] }),
		wire.Tampered, "are missing", nil, nil},
	{"one in the middle left out", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries = slices.Delete(r.Entries, 2, 3) }),
		wire.Tampered, "does not follow", nil, nil},
	{"an epoch left out", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) {
		r.Entries = slices.DeleteFunc(r.Entries, func(e wire.Entry) bool { h := s.header(e); return h.Kind == wire.KindEpoch && h.Seq > 1 })
	}), wire.Tampered, "does not follow", nil, nil},
	{"all left out and counted", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries = []wire.Entry{} }),
		wire.Tampered, "are missing", nil, nil},
	{"two in each other's place", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries[1], r.Entries[2] = r.Entries[2], r.Entries[1] }),
		wire.Tampered, "does not follow", nil, nil},
	{"upside down", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { slices.Reverse(r.Entries) }),
		wire.Tampered, "does not follow", nil, nil},
	{"one twice", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries = slices.Insert(r.Entries, 2, r.Entries[1]) }),
		wire.Tampered, "does not follow", nil, nil},
	{"an entry of somebody else", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries[1] = s.run("eve")[1] }),
		wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"a friend's entry among one's own", onStream, "read bob@", "old", streamOf("bob", func(s *liesScene, r *wire.StreamReply) { r.Entries[1] = s.run("ada")[1] }),
		wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"an old signature with another body", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) {
		r.Entries[1].Body = r.Entries[len(r.Entries)-1].Body
	}), wire.Tampered, "is not the one that was signed", nil, nil},
	{"a flipped bit in a body", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries[1].Body = flipped(r.Entries[1].Body) }),
		wire.Tampered, "is not the one that was signed", nil, nil},
	{"a flipped bit in a header", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Entries[1].Header = flipped(r.Entries[1].Header) }),
		wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"a head below what is shown", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Head-- }),
		wire.Tampered, "is newer than what the node calls the newest", nil, nil},
	{"a head above all there is", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.Head += 1000 }),
		wire.Tampered, "are missing", nil, nil},
	{"an old copy called fresh", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.AsOf = time.Now().UnixMilli() }), "", "", nil, nil},
	{"a fresh copy called old", onStream, "read ada@", "new", adas(func(s *liesScene, r *wire.StreamReply) { r.AsOf = 1e12 }), "", "are shown as of 2001-09-09", nil, nil},

	{"the wrap of another reader", onWrap, "read ada@", "new", wraps(func(s *liesScene, _ *exchange, w *wire.Wrap) { w.Reader = s.ids["eve"] }),
		wire.Tampered, "for another reader or key", nil, nil},
	{"a wrap to another key", onWrap, "read ada@", "new", wraps(func(s *liesScene, _ *exchange, w *wire.Wrap) { w.Key[0]++ }),
		wire.Tampered, "for another reader or key", nil, nil},
	{"a wrap of an older epoch", onWrap, "read ada@", "new", wraps(func(s *liesScene, x *exchange, w *wire.Wrap) { s.otherWrap(x, w) }),
		wire.Tampered, "the keys of epoch", nil, nil},
	{"a wrap of other bytes", onWrap, "read ada@", "new", wraps(func(s *liesScene, _ *exchange, w *wire.Wrap) { w.Sealed = flipped(w.Sealed) }),
		wire.Tampered, "the keys of epoch", nil, nil},
	{"no wrap", onWrap, "read ada@", "new", always(refuse(onWrap, wire.NotExist)), "", "and not the keys to them", nothing, nil},

	{"another post than was asked for", onPost, "show POST", "new", one(onPost, func(s *liesScene, r *wire.FeedItem) { r.Entry = s.run("ada")[1] }),
		wire.Tampered, "another entry than was asked for", nil, nil},
	{"a post under somebody else's name", onPost, "show POST", "new", one(onPost, func(s *liesScene, r *wire.FeedItem) { r.Author, r.Audience = s.ids["bob"], s.stream["bob"] }),
		wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"a post under a stranger's name", onPost, "show POST", "new", one(onPost, func(s *liesScene, r *wire.FeedItem) { r.Author, r.Audience = s.ids["eve"], s.stream["eve"] }),
		wire.Tampered, "somebody who is not a friend", nil, nil},
	{"a post with another body", onPost, "show POST", "new", one(onPost, func(s *liesScene, r *wire.FeedItem) { r.Entry.Body = s.run("ada")[1].Body }),
		wire.Tampered, "is not the one that was signed", nil, nil},
	{"a post at another place", onPost, "show POST", "new", one(onPost, func(s *liesScene, r *wire.FeedItem) { r.Position = 1 }), "", "", nil, nil},
}

// withoutNewest takes the newest entry of ada away, and does not count it.
func withoutNewest(s *liesScene, r *wire.StreamReply) {
	newest := uint64(len(s.run("ada")))
	r.Head, r.Entries = newest-1, leaveOut(newest)(s, r.Entries)
}

// otherWrap puts bob's wrap of another epoch of ada's into the place of w.
func (s *liesScene) otherWrap(x *exchange, w *wire.Wrap) {
	for _, e := range s.run("ada") {
		var body wire.EpochBody
		if s.header(e).Kind != wire.KindEpoch || wire.DecodeCBOR("epoch", e.Body, &body) != nil || body.Content.String() == x.words()[2] {
			continue
		}
		s.ask("bob", "GET", fmt.Sprintf("/v1/wraps/%s/%s/%s", s.ids["ada"], s.stream["ada"], body.Content), nil, w)
	}
}

func feed(change func(s *liesScene, r *wire.FeedReply)) func(*liesScene, string) []told {
	return one(onFeed, change)
}

var feedLies = []lie{
	{"two bodies in each other's place", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		at := s.posts(r)
		a, b := &r.Items[at[0]].Entry, &r.Items[at[1]].Entry
		a.Body, b.Body = b.Body, a.Body
	}), wire.Tampered, "is not the one that was signed", nil, nil},
	{"two headers in each other's place", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		at := s.posts(r)
		a, b := &r.Items[at[0]].Entry, &r.Items[at[1]].Entry
		a.Header, b.Header = b.Header, a.Header
	}), wire.Tampered, "is not the one that was signed", nil, nil},
	{"a post left out of the feed", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		i := s.posts(r)[1]
		r.Items = slices.Delete(r.Items, i, i+1)
	}), "", "", nil, nil},
	{"a post left out everywhere", onFeed, "feed", "new", both(leaveOut(3)), wire.Tampered, "are missing", nil, nil},
	{"the oldest left out everywhere", onFeed, "feed", "new", both(leaveOut(1)), wire.Tampered, "are missing", nil, nil},
	{"a stream left out, and counted", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == s.ids["ada"] })
	}), wire.Tampered, "are missing", nil, nil},
	{"a stream left out, to a new device", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { s.hide(r, "ada") }), "", "", onlyBob, nil},
	{"a stream left out", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) { s.hide(r, "ada") }), "", "cannot be read at the moment", onlyBob, nil},
	{"a stream left out of a whole list", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) {
		s.hide(r, "ada")
		r.All, r.Streams = true, []wire.StreamStatus{{Author: s.ids["bob"], Audience: s.stream["bob"], Head: uint64(len(s.run("bob")))}}
	}), "", "cannot be read at the moment", onlyBob, nil},
	{"a stream left out without a word", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) {
		s.hide(r, "ada")
		r.Streams = []wire.StreamStatus{}
	}), wire.Tampered, "are missing", nil, nil},
	{"changes for a device that knows nothing", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.All = false }), wire.Unavailable, "the node's feed is not understood", nil, nil},
	{"a state for a terminal", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.State = "\x1b[2J" }), wire.Unavailable, "the node's feed is not understood", nil, nil},
	{"one's own stream left out", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) { s.hide(r, "bob") }), wire.Tampered, "are missing", nil, nil},
	{"the newest left out of the feed, and not counted", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) { s.shorten(r, "ada") }), "", "it shows less than was seen here before", withoutFirstOfAda, nil},
	{"one's own newest left out of the feed, and not counted", onFeed, "feed", "old", feed(func(s *liesScene, r *wire.FeedReply) { s.shorten(r, "bob") }), wire.Tampered, "were rolled back", nil, nil},
	{"every item twice", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.Items = append(r.Items, r.Items...) }), "", "", nil, nil},
	{"the feed upside down", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { slices.Reverse(r.Items) }), wire.Tampered, "out of the order of time", nil, nil},
	{"a later time", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.Items[s.posts(r)[0]].Position += 1e9 }), wire.Tampered, "out of the order of time", nil, nil},
	{"a friend's posts under one's own name", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		for _, i := range s.posts(r) {
			r.Items[i].Author, r.Items[i].Audience = s.ids["bob"], s.stream["bob"]
		}
	}), wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"the posts of a stranger", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		var eves wire.FeedReply
		s.ask("eve", "GET", wire.PathFeed+"?limit=100", nil, &eves)
		r.Items, r.Streams = append(r.Items, eves.Items...), append(r.Streams, eves.Streams...)
	}), wire.Tampered, "somebody who is not a friend", nil, nil},
	{"a stranger's posts under a friend's name", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) {
		for _, i := range s.posts(r) {
			r.Items[i].Entry = s.run("eve")[1]
		}
	}), wire.Tampered, "an entry is not as it was signed", nil, nil},
	{"a cursor that leads nowhere", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.Cursor = "nowhere" }), wire.Unavailable, "does not go on where the node says it does", nil, nil},
	{"the same page for ever", onFeed, "feed", "new", func(*liesScene, string) []told {
		return []told{
			{route: onFeed, before: func(x *exchange) { x.target, _, _ = strings.Cut(x.target, "&before=") }},
			alter(onFeed, func(_ *exchange, r *wire.FeedReply) { r.Cursor = "again" }),
		}
	}, wire.Unavailable, "the node's feed does not go on", nil, nil},
	{"a cursor for a terminal", onFeed, "feed", "new", feed(func(s *liesScene, r *wire.FeedReply) { r.Cursor = "\x1b[2J" }), wire.Unavailable, "the node's feed is not understood", nil, nil},
}

// hide takes all that is somebody's out of a page of the feed.
func (s *liesScene) hide(r *wire.FeedReply, who string) {
	r.Items = slices.DeleteFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == s.ids[who] })
	r.Streams = slices.DeleteFunc(r.Streams, func(i wire.StreamStatus) bool { return i.Author == s.ids[who] })
	if !r.All {
		r.Streams = append(r.Streams, wire.StreamStatus{Author: s.ids[who], Audience: s.stream[who]})
	}
}

// shorten takes somebody's newest entry out of a page of the feed.
func (s *liesScene) shorten(r *wire.FeedReply, who string) {
	r.Streams = slices.DeleteFunc(r.Streams, func(i wire.StreamStatus) bool { return i.Author == s.ids[who] })
	r.Streams = append(r.Streams, wire.StreamStatus{Author: s.ids[who], Audience: s.stream[who], Head: uint64(len(s.run(who)) - 1)})
	i := slices.IndexFunc(r.Items, func(i wire.FeedItem) bool { return i.Author == s.ids[who] })
	r.Items = slices.Delete(r.Items, i, i+1)
}

func withoutFirstOfAda(honest string) string {
	posts := strings.SplitAfter(honest, "\n\n")
	i := slices.IndexFunc(posts, func(p string) bool { return strings.Contains(p, "ada-three") })
	return strings.Join(slices.Delete(posts, i, i+1), "")
}

// answerLies are not about what is in an answer, but about the answer itself.
var answerLies = []lie{
	{"an error with the status of success", onFeed, "feed", "old", raw(onFeed, 200, wire.MediaJSON, bytesOf(wire.ProblemOf(wire.NotExist))), wire.Unavailable, "is not understood", nil, nil},
	{"success with the status of an error", onFeed, "feed", "old", raw(onFeed, 500, wire.MediaJSON, bytesOf(wire.FeedReply{Items: []wire.FeedItem{}})), wire.Unavailable, "status 500 and nothing that is understood", nil, nil},
	{"an error that contradicts its status", onFeed, "feed", "old", raw(onFeed, 404, wire.MediaProblem, bytesOf(wire.ProblemOf(wire.Unavailable))), wire.Unavailable, "status 404 and nothing that is understood", nil, nil},
	{"a session said to have ended", onFeed, "feed", "old", always(refuse(onFeed, wire.Unauthenticated)), wire.Unauthenticated, "has ended", nil, nil},
	{"a session said to have ended, to who waits for posts", onEvents, "feed --follow", "old", always(refuse(onEvents, wire.Unauthenticated)), wire.Unauthenticated, "has ended", nil, nil},
	{"events without an end, and then a session that has", onEvents, "feed --follow", "old", func(*liesScene, string) []told {
		var waits atomic.Bool
		return []told{
			{route: onEvents, before: func(x *exchange) {
				waits.Store(true)
				x.raw = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", wire.MediaEvents)
					for r.Context().Err() == nil {
						_, _ = w.Write([]byte("event: " + wire.EventFeed + "\ndata: {}\n\n"))
					}
				}
			}},
			{route: onFeed, before: func(x *exchange) {
				if waits.Load() {
					refuse(onFeed, wire.Unauthenticated).before(x)
				}
			}},
		}
	}, wire.Unauthenticated, "has ended", nil, nil},
	{"the document of another node", onDocument, "feed", "old", func(s *liesScene, _ string) []told {
		d := documentOf(s.t, s.left.name, s.left.name)
		return []told{swallow(onDocument, func(*exchange) any { return d })}
	}, wire.Tampered, "is not right", nil, nil},
	{"a document that nobody has signed", onDocument, "feed", "old", one(onDocument, func(_ *liesScene, r *wire.NodeDocumentReply) { r.Document[0] ^= 1 }), wire.Tampered, "is not right", nil, nil},
	{"a document with 17 changes of its root key", onDocument, "feed", "old", one(onDocument, func(_ *liesScene, r *wire.NodeDocumentReply) {
		r.RootChanges = make([]wire.Signed, wire.MaxRootChanges+1)
	}), wire.Tampered, "is not right", nil, nil},
	{"a document that leads to another node", onDocument, "feed", "old", func(s *liesScene, _ string) []told {
		d := documentOf(s.t, s.right.name, s.left.name)
		return []told{swallow(onDocument, func(*exchange) any { return d })}
	}, wire.Unauthenticated, "has ended", nil, nil},
	{"a document that leads to another node, before a log-in", onDocument, "login bob@", "", func(s *liesScene, _ string) []told {
		d := documentOf(s.t, s.right.name, s.left.name)
		return []told{swallow(onDocument, func(*exchange) any { return d })}
	}, wire.Unauthenticated, "name or password is wrong", nil, nil},
	{"no document", onDocument, "feed", "old", always(refuse(onDocument, wire.NotExist)), wire.Unavailable, "is no node", nil, nil},
	{"a redirect instead of a document", onDocument, "feed", "old", raw(onDocument, 302, "text/html", func(http.ResponseWriter) {}), wire.Unavailable, "status 302 and nothing that is understood", nil, nil},
	{"a redirect", onFeed, "feed", "old", raw(onFeed, 302, "text/html", func(http.ResponseWriter) {}), wire.Unavailable, "status 302 and nothing that is understood", nil, nil},
	{"an answer of another content type", onFeed, "feed", "old", always(told{route: onFeed, after: func(x *exchange) { x.header.Set("Content-Type", "text/html") }}), "", "", nil, nil},
	{"a page instead of an answer", onFeed, "feed", "old", raw(onFeed, 200, "text/html", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }), wire.Unavailable, "is not understood", nil, nil},
	{"half an answer", onFeed, "feed", "old", always(told{route: onFeed, after: func(x *exchange) { x.answer = x.answer[:len(x.answer)/2] }}), wire.Unavailable, "is not understood", nil, nil},
	{"an answer without an end", onFeed, "feed", "old", raw(onFeed, 200, wire.MediaJSON, endless), wire.Unavailable, "bytes in one answer", nil, nil},
	{"no answer", onFeed, "feed", "old", raw(onFeed, 200, wire.MediaJSON, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }), wire.Unavailable, "broke the connection", nil, nil},
}
