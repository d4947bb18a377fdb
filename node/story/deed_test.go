package story_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The kinds of deeds: requests that a node acknowledges once they are durable.
const (
	deedPost     = "post"
	deedBulk     = "bulk" // a large post
	deedEpoch    = "epoch"
	deedWraps    = "wraps"
	deedFriend   = "friend"
	deedVault    = "vault"
	deedLogin    = "login"
	deedLogout   = "logout"
	deedRegister = "register"
)

var deedKinds = []string{deedPost, deedBulk, deedEpoch, deedWraps, deedFriend, deedVault, deedLogin, deedLogout, deedRegister}

// A deed is one of them. It is sent again, byte by byte, when nobody knows what
// became of it.
type deed struct {
	kind    string
	by      *witness
	request []byte
	done    func(body []byte) error // it was acknowledged, or is known to be done: nil
	taken   func() (bool, error)    // asks whether it was done
	// spent is the status of a second answer to a deed that was done, if not the
	// same as of the first.
	spent int
	// Refusals are answers that come when the other's node has not heard yet what
	// goes before: the deed is given up.
	refusals []int
	partly   bool // it may be done in part
}

// A witness is a member, and all that was acknowledged to them.
type witness struct {
	*member
	asking sync.Mutex  // held to use c: several couples look through the eyes of one hub
	c      *connection // nil if there is none

	entries []evidence // of their stream
	checked int        // so many were read since the last of them was acknowledged
	last    *repeated  // the newest of them
	vaults  []wire.Hash
	slots   []byte
	sealed  wire.Hash // of the newest vault
	open    []opened  // sessions; the first is the one that is used
	ended   []wire.Token
	device  *wire.Token
	wrapped map[wire.AccountID]wire.Hash // of the newest epoch, by reader
	made    map[wire.FriendKind]wire.Signed
	state   wire.FriendState // what they said last made of it; empty if the other said something since
	others  []*member        // whom they saw register
	spent   []byte           // the request of the newest log-in
}

// evidence is what is kept of an entry: 56 bytes.
type evidence struct {
	id      wire.EntryID
	sum     [16]byte // of header and body
	arrival int64    // 0 if it is not known
}

// repeated is a request and the answer that it got.
type repeated struct{ request, answer []byte }

// opened is a session.
type opened struct {
	token   wire.Token
	expires int64
}

func sumOf(e wire.Entry) [16]byte {
	h := sha256.New()
	h.Write(e.Header)
	h.Write(e.Body)
	return [16]byte(h.Sum(nil))
}

// errGone says that a request got no answer.
var errGone = errors.New("the node did not answer")

// exchange asks the home node over the connection of the witness.
func (w *witness) exchange(request []byte) (status int, body []byte, err error) {
	w.asking.Lock()
	defer w.asking.Unlock()
	for deadline := time.Now().Add(nodeStarts); ; time.Sleep(nextLook) {
		status, body, err = w.attempt(request)
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return status, body, err
		}
	}
}

// attempt is one exchange. The answer may be that the database is too slow.
func (w *witness) attempt(request []byte) (status int, body []byte, err error) {
	if w.c == nil {
		raw, err := net.Dial("tcp", w.home.listen)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %v", errGone, err)
		}
		w.c = newConnection(raw)
	}
	err = w.c.SetDeadline(time.Now().Add(nodeStarts))
	if err == nil {
		status, body, err = w.c.exchange(request)
	}
	if err != nil {
		w.hangUp()
		return 0, nil, fmt.Errorf("%w: %s, %.100q: %v", errGone, w.handle, request, err)
	}
	return status, body, nil
}

// hangUp closes the connection, whoever closed it first.
func (w *witness) hangUp() {
	if w.c != nil {
		_ = w.c.Close() // the other end may be gone
		w.c = nil
	}
}

// get reads something, and says whether it is there.
func (w *witness) get(path string, out any) (bool, error) {
	status, body, err := w.exchange(w.request("GET", path, nil))
	if err != nil {
		return false, err
	}
	if status == http.StatusNotFound || status == http.StatusUnauthorized {
		return false, nil
	}
	if status != http.StatusOK {
		return false, w.fault(wrong, "GET %s: status %d, %s", path, status, body)
	}
	return true, wire.DecodeJSON(body, out)
}

// publishes makes the deed of an entry that was signed.
func (w *witness) publishes(kind string, e wire.Entry, ends []wire.FriendRequest, then func()) *deed {
	d := &deed{kind: kind, by: w, request: w.request("POST", wire.PathEntries, wire.PublishRequest{Entry: e, Ends: ends})}
	seq := w.stream.Seq
	d.done = func(body []byte) error {
		reply := wire.PublishReply{ID: e.ID()}
		w.last = nil
		if body != nil {
			if err := wire.DecodeJSON(body, &reply); err != nil {
				return err
			}
			w.last = &repeated{d.request, body}
		}
		if reply.ID != e.ID() {
			return w.fault(wrong, "entry %d is acknowledged as %s, not %s", seq, reply.ID, e.ID())
		}
		w.entries = append(w.entries, evidence{reply.ID, sumOf(e), reply.Arrival})
		then()
		return nil
	}
	d.taken = func() (bool, error) {
		var reply wire.StreamReply
		_, err := w.get(w.streamPath("limit=1&before=9007199254740991"), &reply)
		return reply.Head == seq, err
	}
	return d
}

func (w *witness) streamPath(query string) string {
	return fmt.Sprintf("/v1/streams/%s/%s?%s", w.account, w.audience, query)
}

// posts makes the next entry a post of random size.
func (w *witness) posts(kind string, size int) *deed {
	body := make([]byte, size)
	rand.Read(body)
	return w.publishes(kind, w.entry(wire.KindPost, body), nil, func() {})
}

// begins makes the next entry an epoch, which may end a friendship.
func (w *witness) begins(content wire.Commitment, wrapped map[wire.AccountID]wire.Hash, ends []wire.FriendRequest, then func()) *deed {
	return w.publishes(deedEpoch, w.epoch(content), ends, func() {
		w.content, w.wrapped = content, wrapped
		then()
	})
}

// hands makes wraps of an epoch for readers, and notes them in wrapped.
func (w *witness) hands(content wire.Commitment, wrapped map[wire.AccountID]wire.Hash, readers ...*witness) *deed {
	var members []*member
	for _, o := range readers {
		members = append(members, o.member)
	}
	r := w.wrapping(content, members...)
	d := &deed{kind: deedWraps, by: w, request: w.request("POST", wire.PathWraps, r), partly: true}
	d.done = func([]byte) error {
		for _, one := range r.Wraps {
			wrapped[one.Reader] = sha256.Sum256(one.Sealed)
		}
		return nil
	}
	d.taken = func() (bool, error) {
		var got wire.Wrap
		there, err := readers[0].get(w.wrapPath(content), &got)
		return there && sha256.Sum256(got.Sealed) == sha256.Sum256(r.Wraps[0].Sealed), err
	}
	return d
}

func (w *witness) wrapPath(content wire.Commitment) string {
	return fmt.Sprintf("/v1/wraps/%s/%s/%s", w.account, w.audience, content)
}

// replaces makes the next version of the vault.
func (w *witness) replaces() *deed {
	sealed := make([]byte, 100+mathrand.IntN(4000))
	rand.Read(sealed)
	head := must((&wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: w.account, Counter: uint64(len(w.vaults)) + 1, Prev: w.vaults[len(w.vaults)-1],
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(w.slots), Created: time.Now().UnixMilli(),
	}).Sign(w.identity))
	hash := head.Hash(wire.LabelVaultHead)
	d := &deed{kind: deedVault, by: w, request: w.request("PUT", wire.PathVault, wire.VaultRecord{Head: head, Slots: w.slots, Vault: sealed})}
	d.done = func([]byte) error {
		w.vaults, w.sealed, w.vault = append(w.vaults, hash), wire.VaultHash(sealed), head
		return nil
	}
	d.taken = func() (bool, error) {
		r, err := w.newestVault()
		return err == nil && r.Head.Hash(wire.LabelVaultHead) == hash, err
	}
	return d
}

func (w *witness) newestVault() (*wire.VaultRecord, error) {
	var reply wire.VaultReply
	there, err := w.get(fmt.Sprintf("%s?after=%d", wire.PathVault, len(w.vaults)-1), &reply)
	if err == nil && (!there || reply.Record == nil) {
		err = w.fault(lost, "no vault after version %d", len(w.vaults)-1)
	}
	return reply.Record, err
}

// logsIn answers a challenge. A device that is known gets its own token again.
func (w *witness) logsIn() (*deed, error) {
	status, body, err := w.exchange(w.request("POST", wire.PathChallenge, wire.ChallengeRequest{Handle: w.handle, Purpose: wire.PurposeLogin}))
	if err != nil {
		return nil, err
	}
	var c wire.ChallengeReply
	if err := wire.DecodeJSON(body, &c); err != nil {
		return nil, w.fault(wrong, "challenge: status %d, %v", status, err)
	}
	r := w.answering(c)
	if mathrand.IntN(4) > 0 { // the others are new devices
		r.DeviceToken = w.device
	}
	d := &deed{kind: deedLogin, by: w, request: w.request("POST", wire.PathLogin, r), spent: http.StatusUnauthorized}
	d.done = func(body []byte) error {
		if body == nil {
			return nil // nobody has the token
		}
		var reply wire.LoginReply
		if err := wire.DecodeJSON(body, &reply); err != nil {
			return err
		}
		if r.DeviceToken != nil && reply.DeviceToken.Reveal() != r.DeviceToken.Reveal() {
			return w.fault(lost, "a device is not known any more")
		}
		w.open = append(w.open, opened{reply.Token, reply.Expires})
		w.device, w.spent = &reply.DeviceToken, d.request
		return nil
	}
	return d, nil
}

// logsOut ends a session, though never the one that is used.
func (w *witness) logsOut() *deed {
	at := 1 + mathrand.IntN(len(w.open)-1)
	token := w.open[at].token
	d := &deed{kind: deedLogout, by: w, request: w.with(token, "DELETE", wire.PathSession), spent: http.StatusUnauthorized}
	d.done = func([]byte) error {
		w.open = slices.Delete(w.open, at, at+1)
		w.ended = append(w.ended, token)
		return nil
	}
	d.taken = func() (bool, error) {
		status, _, err := w.exchange(w.with(token, "GET", wire.PathSession))
		return status == http.StatusUnauthorized, err
	}
	return d
}

// with is a request in another session.
func (w *witness) with(token wire.Token, method, path string) []byte {
	other := *w.member
	other.token = token
	return other.request(method, path, nil)
}

// founds registers somebody else at the same node.
func (w *witness) founds() *deed {
	b := random32()
	o := &member{
		TB: w.TB, home: w.home, from: w.from, handle: wire.Handle(fmt.Sprintf("n%x", b[:12])), audience: random32(),
		identity: wire.NewIdentitySecret(random32()), login: wire.NewLoginSecret(random32()),
	}
	d := &deed{kind: deedRegister, by: w, request: o.request("POST", wire.PathRegister, o.founding())}
	d.done = func(body []byte) error {
		reply := wire.RegisterReply{Account: o.account}
		if body != nil {
			if err := wire.DecodeJSON(body, &reply); err != nil {
				return err
			}
		}
		if reply.Account != o.account {
			return w.fault(wrong, "%s is registered as %s, not %s", o.handle, reply.Account, o.account)
		}
		w.others = append(w.others, o)
		return nil
	}
	d.taken = func() (bool, error) {
		found, err := w.finds(o)
		return found, err
	}
	return d
}

// finds asks for somebody's keys.
func (w *witness) finds(o *member) (bool, error) {
	status, body, err := w.exchange(w.request("POST", wire.PathKeys, wire.KeysRequest{Address: o.address()}))
	if err != nil || status == http.StatusNotFound {
		return false, err
	}
	var reply wire.KeysReply
	if err := wire.DecodeJSON(body, &reply); err != nil {
		return false, w.fault(wrong, "keys of %s: status %d, %v", o.handle, status, err)
	}
	if len(reply.Statements) != 1 || string(reply.Statements[0]) != string(o.statement) {
		return false, w.fault(wrong, "other keys of %s", o.handle)
	}
	return true, nil
}

// tells makes a friendship statement about other.
func (w *witness) tells(other *witness, r wire.FriendRequest, state wire.FriendState, then func()) *deed {
	d := &deed{
		kind: deedFriend, by: w, request: w.request("POST", wire.PathFriends, r),
		refusals: []int{http.StatusNotFound, http.StatusConflict},
	}
	d.done = func([]byte) error {
		w.said(other, r, state)
		then()
		return nil
	}
	d.taken = func() (bool, error) {
		f, err := w.friendship(other)
		return err == nil && holds(f, r.Kind, r.Statement), err
	}
	return d
}

// said notes a statement that was acknowledged.
func (w *witness) said(other *witness, r wire.FriendRequest, state wire.FriendState) {
	w.made[r.Kind], w.state, other.state = r.Statement, state, ""
}

// friendship is what the home node has of w and other.
func (w *witness) friendship(other *witness) (wire.FriendRecord, error) {
	var reply wire.FriendsReply
	if _, err := w.get(wire.PathFriends, &reply); err != nil {
		return wire.FriendRecord{}, err
	}
	for _, f := range reply.Friends {
		if f.Account == other.account {
			return f, nil
		}
	}
	return wire.FriendRecord{State: wire.StateNone}, nil
}

// holds reports whether a record has a statement that its owner made.
func holds(f wire.FriendRecord, kind wire.FriendKind, s wire.Signed) bool {
	switch kind {
	case wire.FriendOffer:
		return string(f.OfferMade) == string(s)
	case wire.FriendAccept:
		return string(f.AcceptMade) == string(s)
	}
	return slices.ContainsFunc(f.EndsMade, func(e wire.Signed) bool { return string(e) == string(s) })
}
