package load

import (
	"context"
	"net/http"
	"sync"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A session is how a node knows a person. Several goroutines may use it, and the
// node may end it at any time: then the person logs in again, as somebody would
// who is asked to, and the report counts it.
type session struct {
	mu     sync.Mutex
	token  wire.Token
	device *wire.Token
	number int // of sessions that there were, this one included
}

// current is the token, zero if there is none, and which session it is of.
func (s *session) current() (wire.Token, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.number
}

// begin must be called with mu held.
func (s *session) begin(r *wire.LoginReply) {
	s.token, s.device = r.Token, &r.DeviceToken
	s.number++
}

// logIn opens a session.
func (p *person) logIn(ctx context.Context) (answer, error) {
	p.session.mu.Lock()
	device := p.session.device
	p.session.mu.Unlock()
	r, a, err := p.knock(ctx, device)
	if err != nil {
		return a, err
	}
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	p.session.begin(r)
	return a, nil
}

// renew opens a session in the place of one that the node has ended, unless
// another goroutine has.
func (p *person) renew(ctx context.Context, ended int) (answer, error) {
	s := &p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number != ended {
		return answer{}, nil
	}
	p.crowd.renewed.Add(1)
	r, a, err := p.knock(ctx, s.device)
	if err == nil {
		s.begin(r)
	}
	return a, err
}

// knock asks for a challenge and answers it.
func (p *person) knock(ctx context.Context, device *wire.Token) (*wire.LoginReply, answer, error) {
	var c wire.ChallengeReply
	a, err := p.try(ctx, wire.Token{}, http.MethodPost, wire.PathChallenge, wire.ChallengeRequest{Handle: p.handle, Purpose: wire.PurposeLogin}, &c)
	if err != nil {
		return nil, a, err
	}
	signed, err := (&wire.Challenge{
		Version: wire.Version, Suite: wire.Suite, Node: p.home.name, Handle: p.handle,
		Purpose: wire.PurposeLogin, Nonce: c.Nonce, Expires: c.Expires,
	}).Sign(p.login)
	if err != nil {
		return nil, a, err
	}
	reply := new(wire.LoginReply)
	a, err = p.try(ctx, wire.Token{}, http.MethodPost, wire.PathLogin, wire.LoginRequest{
		Handle: p.handle, Purpose: wire.PurposeLogin, Nonce: c.Nonce, Expires: c.Expires, Tag: c.Tag, Answer: signed,
		Device: "load", DeviceToken: device,
	}, reply)
	if err == nil && reply.Account != p.account {
		err = wire.Errorf(wire.Tampered, "login", "%s has logged in another account", p.home.name)
	}
	return reply, a, err
}
