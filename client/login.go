package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Errors that callers treat apart from others of their kind.
var (
	ErrNoSession     = wire.Errorf(wire.Unauthenticated, "session", "nobody is logged in on this device")
	ErrWrongPassword = wire.Errorf(wire.Unauthenticated, "login", "name or password is wrong")
)

// LoginOptions say who logs in.
type LoginOptions struct {
	Address  wire.Address
	Password Password
	Device   string // name for the list of sessions, 1 to wire.MaxDeviceName bytes
}

// A LoginReport tells what a new device could compare its home node's word with.
// A device that was logged in before compares with its own memory and asks nobody.
type LoginReport struct {
	Known      bool // this device remembers an earlier state of the account, and compared with it
	HandedBack bool // the node had lost something, and has it again from this device
	Behind     bool // the node has lost something, or hides it: reading goes on, and nothing can be written here
	Friends    int  // nodes of friends, other than the home node, that can be asked
	Asked      int  // of them, at most 5
	Answered   int  // of those asked, with a vault head that agrees
	Foreign    int  // key statements for this address in the log of the node that are not this person's, and were not told of before
}

// What a new device asks of friends' nodes.
const (
	maxAsked   = 5
	askTimeout = 3 * time.Second
)

// Whoami is whose session it is.
type Whoami struct {
	Address wire.Address
	Account wire.AccountID
	Device  string
}

// login is a log-in under way.
type login struct {
	c      *Client
	with   opener
	at     wire.Address
	device string
	known  known
	reply  wire.ChallengeReply
	heads  []knownHead // of the vault, as far as they were shown
	shown  shownChain  // the keys of the account

	handed bool // this device has handed in again what the node had lost
}

// Login opens a session on this device with name and password. Everything that
// the node shows is verified before anything is kept. Where it shows less than this
// device has seen, the device hands in again what it has. ErrWrongPassword for a
// wrong name or password; SecondFactor when a code is wanted and there is no source of
// one (WithCodes), or all were wrong; Conflict when somebody else is logged in here; Tampered
// when the node shows a forked vault, or one older than was seen elsewhere.
func (c *Client) Login(ctx context.Context, o LoginOptions) (*Person, LoginReport, error) {
	return (&login{c: c, with: &byPassword{password: o.Password}, at: o.Address, device: o.Device}).enter(ctx)
}

// begin opens a session, of which nothing is on the device yet.
func (l *login) begin(ctx context.Context) (*Person, wire.Token, error) {
	cacheKey, err := l.c.place(l.at)
	if err != nil {
		return nil, wire.Token{}, err
	}
	if err := checkDevice(l.device); err != nil {
		return nil, wire.Token{}, err
	}
	if l.known, err = l.c.loadKnown(l.at); err != nil {
		return nil, wire.Token{}, err
	}
	answer, err := l.authenticate(ctx)
	if err != nil && err == l.with.refused() && l.foundAgain(ctx, cacheKey) {
		answer, err = l.authenticate(ctx)
	}
	if err != nil {
		return nil, wire.Token{}, err
	}
	s := session{Token: answer.Token, Address: l.at, Account: answer.Account, Device: l.device, CacheKey: cacheKey}
	return newPerson(l.c, s, nil), answer.DeviceToken, nil
}

// giveUp ends a session that is not kept.
func (p *Person) giveUp(ctx context.Context) {
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	p.home(parting, "DELETE", wire.PathSession, nil, nil) // best effort: nobody will use it
}

// enter opens the session, and keeps it on the device.
func (l *login) enter(ctx context.Context) (*Person, LoginReport, error) {
	p, device, err := l.begin(ctx)
	if err != nil {
		return nil, LoginReport{}, err
	}
	report, err := l.open(ctx, p)
	if err == nil {
		report.Foreign, err = p.watch(ctx, l.shown)
	}
	if errors.Is(err, wire.Unauthenticated) {
		err = wire.Errorf(wire.Unavailable, "session", "%s does not know the session that it opened", l.at.Node)
	}
	if err == nil {
		err = l.keep(p, device)
	}
	if err != nil {
		p.giveUp(ctx)
		return nil, report, err
	}
	if !report.Behind {
		p.confirmAtLogin(ctx)
	}
	return p, report, nil
}

func checkDevice(name string) error {
	if len(name) < 1 || len(name) > wire.MaxDeviceName || printable(name) != name {
		return wire.Errorf(wire.Invalid, "device", "a name of 1 to %d bytes was expected", wire.MaxDeviceName)
	}
	return nil
}

// place refuses a device that somebody else is logged in on. It returns the
// cache key of the same person's earlier session, so that what waits to be sent
// stays, or a new one.
func (c *Client) place(a wire.Address) (seal.CacheKey, error) {
	s, err := c.loadSession()
	switch {
	case errors.Is(err, wire.Update), err == error(ErrNoSession):
		return seal.NewCacheKey(), nil
	case err != nil:
		return seal.CacheKey{}, err
	case s.Address != a:
		return seal.CacheKey{}, wire.Errorf(wire.Conflict, "session", "%s is logged in on this device: log out first", s.Address)
	}
	return s.CacheKey, nil
}

// authenticate logs in, with a code if the node wants one.
func (l *login) authenticate(ctx context.Context) (answer wire.LoginReply, err error) {
	err = l.c.withCode(ctx, func(code wire.FactorCode) error {
		answer, err = l.answer(ctx, code)
		return err
	})
	return answer, err
}

// answer answers a challenge of the node.
func (l *login) answer(ctx context.Context, code wire.FactorCode) (wire.LoginReply, error) {
	var answer wire.LoginReply
	node, handle, purpose := l.at.Node, l.at.Handle, l.with.purpose()
	err := l.c.ask(ctx, &Request{Method: "POST", Node: node, Path: wire.PathChallenge},
		&wire.ChallengeRequest{Handle: handle, Purpose: purpose}, &l.reply)
	if err != nil {
		return answer, err
	}
	if err := l.c.skew.check(); err != nil {
		return answer, err
	}
	if left := time.UnixMilli(l.reply.Expires).Sub(l.c.now()); left > wire.ChallengeLifetime+wire.MaxSkew || left < -wire.MaxSkew {
		return answer, wire.Errorf(wire.Clock, "clock", "the log-in that %s offers is valid until %s, and this computer's clock says %s: one of the clocks is wrong",
			node, time.UnixMilli(l.reply.Expires).UTC().Format(time.DateTime), l.c.now().UTC().Format(time.DateTime))
	}
	signed, err := l.with.answer(l, &wire.Challenge{
		Version: wire.Version, Suite: wire.Suite, Node: node, Handle: handle, Purpose: purpose,
		Nonce: l.reply.Nonce, Expires: l.reply.Expires,
	})
	if err != nil {
		return answer, err
	}
	r := &wire.LoginRequest{
		Handle: handle, Purpose: purpose, Nonce: l.reply.Nonce, Expires: l.reply.Expires, Tag: l.reply.Tag,
		Answer: signed, Device: l.device,
	}
	if token, err := wire.ParseToken(l.known.DeviceToken.Reveal()); err == nil {
		r.DeviceToken = &token
	}
	if !code.IsZero() {
		r.Code = &code
	}
	err = l.c.ask(ctx, &Request{Method: "POST", Node: node, Path: wire.PathLogin}, r, &answer)
	if errors.Is(err, wire.Unauthenticated) {
		return answer, l.with.refused()
	}
	return answer, err
}

// An opener is what somebody logs in with: a password, or the recovery code.
type opener interface {
	purpose() wire.Purpose
	// answer signs the challenge of l.reply.
	answer(l *login, c *wire.Challenge) (wire.Signed, error)
	// refused is the error where the node does not take the answer.
	refused() error
	// unlock opens the vault key, out of slots that were signed by the owner of chain.
	// The slots must be those that the log-in was made with.
	unlock(l *login, chain *keyservice.Chain, slots *wire.Slots) (seal.VaultKey, error)
}

// byPassword is the usual way.
type byPassword struct {
	password Password
	key      wire.LoginKey
	slot     seal.SlotKey
}

func (b *byPassword) purpose() wire.Purpose { return wire.PurposeLogin }
func (b *byPassword) refused() error        { return ErrWrongPassword }

func (b *byPassword) answer(l *login, c *wire.Challenge) (wire.Signed, error) {
	if err := l.reply.Argon2.Check(); err != nil {
		return nil, wire.Errorf(wire.Tampered, "login", "%s asks for a weak or absurd treatment of the password: %s", l.at.Node, reason(err))
	}
	secret, slot, err := l.c.derive(b.password.bytes(), l.at, l.reply.Argon2, l.reply.Random)
	if err != nil {
		return nil, err
	}
	b.key, b.slot = secret.Public(), slot
	return c.Sign(secret)
}

func (b *byPassword) unlock(l *login, chain *keyservice.Chain, slots *wire.Slots) (seal.VaultKey, error) {
	if l.handed && slots.Login != b.key {
		return seal.VaultKey{}, ErrNewerPassword
	}
	if slots.Random != l.reply.Random || slots.Argon2 != l.reply.Argon2 || slots.Login != b.key {
		return seal.VaultKey{}, wire.Errorf(wire.Tampered, "login", "the vault that the node shows does not belong to the log-in that it took")
	}
	key, err := seal.OpenPasswordSlot(b.slot, chain.Account(), slots.PasswordSlot)
	if err != nil {
		return seal.VaultKey{}, wire.Errorf(wire.Tampered, "login", "the vault that the node shows does not open with the password that it took")
	}
	return key, nil
}

// open fetches and verifies keys and vault of the account.
func (l *login) open(ctx context.Context, p *Person) (report LoginReport, err error) {
	if err := l.takeKeys(ctx, p); err != nil {
		return report, err
	}
	var seen knownHead
	if len(l.known.Head) > 0 {
		if l.known.Account != p.chain.Account() {
			return report, wire.Errorf(wire.Tampered, "login", "the node shows another account for %s than this device has seen", l.at)
		}
		if seen, err = openHead(p.chain, l.known.Head); err != nil {
			return report, err
		}
	}
	err = l.take(ctx, p, seen)
	if report.Known = seen.head != nil; report.Known {
		return report, l.compare(ctx, p, seen, err, &report)
	}
	if err != nil {
		return report, err
	}
	return report, l.askFriends(ctx, p, &report)
}

// takeKeys fetches and verifies the keys of the account. Where the node shows the beginning
// of those that this device has kept, it has lost the rest: they are handed in again.
func (l *login) takeKeys(ctx context.Context, p *Person) (err error) {
	l.shown, err = p.fetchChain(ctx, l.at, &p.session.Account)
	switch wire.KindOf(err) {
	case wire.NotExist, wire.Invalid:
		return wire.Errorf(wire.Tampered, "login", "the node has opened a session of another account than that of %s", l.at)
	}
	if err != nil {
		return err
	}
	p.chain = l.shown.Chain
	kept := p.loadPeer(p.me())
	if kept == nil {
		return nil
	}
	seen, err := keyservice.ParseChain(kept.Statements)
	if err == nil && seen.Extends(p.chain) == nil {
		p.chain = seen
		return nil
	}
	if err == nil {
		err = p.chain.Extends(seen)
	}
	return err
}

// take fetches, verifies and opens the newest vault, which follows what was seen.
func (l *login) take(ctx context.Context, p *Person, seen knownHead) error {
	newest, record, err := p.fetchVault(ctx, seen, true, func(k knownHead) { l.heads = append(l.heads, k) })
	if err != nil {
		return err
	}
	if p.session.VaultKey, err = l.unlock(p.chain, *record); err != nil {
		return err
	}
	p.vault, err = openVault(p.chain, p.session.VaultKey, newest, *record)
	return err
}

// unlock opens the vault key.
func (l *login) unlock(chain *keyservice.Chain, r wire.VaultRecord) (seal.VaultKey, error) {
	_, slots, err := chain.OpenVaultRecord(r)
	if err != nil {
		return seal.VaultKey{}, vaultError(err)
	}
	return l.with.unlock(l, chain, slots)
}

// askFriends compares the newest vault head with what friends' nodes have seen:
// a new device has no memory of its own to compare with.
func (l *login) askFriends(ctx context.Context, p *Person, report *LoginReport) error {
	var nodes []wire.NodeName
	seen := map[wire.NodeName]bool{l.at.Node: true}
	for i := range p.vault.Friends {
		if f := &p.vault.Friends[i]; f.state() == wire.StateFriend && !seen[f.Node] && l.c.reaches(f.Node) {
			seen[f.Node] = true
			nodes = append(nodes, f.Node)
		}
	}
	report.Friends = len(nodes)
	nodes = nodes[:min(len(nodes), maxAsked)]
	report.Asked = len(nodes)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	heads := make([]knownHead, len(nodes))
	var all sync.WaitGroup
	for i, node := range nodes {
		all.Go(func() { heads[i] = l.askHead(ctx, p, node) })
	}
	all.Wait()
	for i, h := range heads {
		if h.head == nil {
			continue
		}
		report.Answered++
		if n := h.counter(); n > uint64(len(l.heads)) || l.heads[n-1].hash != h.hash {
			return wire.Errorf(wire.Tampered, "vault", "%s shows an old or forked vault of %s: %s has seen version %d, and here the newest is %d",
				l.at.Node, l.at, nodes[i], n, len(l.heads))
		}
	}
	return nil
}

// askHead returns what a node has seen of this account; none if it does not say.
func (l *login) askHead(ctx context.Context, p *Person, node wire.NodeName) (none knownHead) {
	q := &wire.HeadQuery{Version: wire.Version, Suite: wire.Suite, Account: p.me(), Node: node, Created: l.c.now().UnixMilli()}
	signed, err := q.Sign(p.vault.identity)
	if err != nil {
		return none
	}
	var reply wire.HeadsReply
	_, err = l.c.call(ctx, &Request{Method: "POST", Node: node, Path: wire.PathHeads}, &wire.HeadsRequest{Account: p.me(), Query: signed}, &reply)
	if err != nil {
		return none
	}
	h, err := openHead(p.chain, reply.Head)
	if err != nil {
		return none // what a friend's node makes up proves nothing
	}
	return h
}

// keep writes the session and what it goes by to the device, the session last.
func (l *login) keep(p *Person, device wire.Token) error {
	k := l.known
	k.Account, k.DeviceToken, k.Head = p.me(), wire.Hide(device.Reveal()), p.vault.signed
	if err := l.c.saveKnown(l.at, k); err != nil {
		return err
	}
	if err := p.savePeer(p.me(), peerOf(p.chain)); err != nil {
		return err
	}
	if err := p.keepVault(p.vault); err != nil {
		return err
	}
	if err := p.saveLogs(); err != nil {
		return err
	}
	if err := l.c.saveSession(p.session); err != nil {
		return err
	}
	return l.c.drop(fileChange) // the log-in has shown what came of it
}
