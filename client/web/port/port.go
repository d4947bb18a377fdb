package port

import (
	"context"
	"sync"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Store is what a device keeps, while nobody else uses it.
type Store interface {
	client.Device
	// Remove closes the store and removes everything in it.
	Remove() error
	// Close gives it free for others.
	Close() error
}

// Options say what a port works with.
type Options struct {
	Node      wire.NodeName // the one that the page belongs to
	Page      string        // the origin of the page at the node, for links that others open
	Transport client.Transport
	Open      func(ctx context.Context) (Store, error) // waits until nobody else uses it
	Tell      func(event string, data []byte)          // JSON; called by one goroutine at a time
}

// A Port answers the calls of one page. Its methods may be called by many goroutines.
type Port struct {
	Options
	telling sync.Mutex

	mu        sync.Mutex
	following context.CancelFunc // nil: not
	drafts    map[string]string  // texts of drafts that the page was told are waiting, by key
	app       client.Authenticator
}

// New returns a port that nobody has called yet.
func New(o Options) *Port { return &Port{Options: o, drafts: make(map[string]string)} }

// MaxParams bounds the parameters of a call, in bytes: the longest post, if each byte of
// it is escaped.
const MaxParams = 6*client.MaxText + 1024

// Call runs a method. The result is JSON.
func (p *Port) Call(ctx context.Context, method string, params []byte) ([]byte, *Fault) {
	m, ok := methods[method]
	if !ok {
		return nil, &Fault{Code: codeBadInput, Kind: wire.Invalid, Field: "method", Detail: "there is no such method"}
	}
	if len(params) > MaxParams {
		return nil, &Fault{Code: codeTooLong, Kind: wire.TooLarge, Field: "params", Detail: "the parameters are too long"}
	}
	in := m.params()
	err := wire.DecodeJSON(params, in)
	var result any
	if err == nil {
		result, err = m.run(ctx, p, in)
	}
	if err != nil {
		return nil, faultOf(method, err)
	}
	return wire.EncodeJSON(result), nil
}

// tell tells the page of something.
func (p *Port) tell(event string, data any) {
	b := wire.EncodeJSON(data)
	p.telling.Lock()
	defer p.telling.Unlock()
	p.Tell(event, b)
}

// nothing are the parameters and the result where there are none.
type nothing struct{}

// A method has parameters, and does what becomes JSON.
type method struct {
	params func() any
	run    func(ctx context.Context, p *Port, params any) (any, error)
}

// taking is a method whose parameters are an In.
func taking[In any](do func(context.Context, *Port, *In) (any, error)) method {
	return method{newOf[In], func(ctx context.Context, p *Port, in any) (any, error) { return do(ctx, p, in.(*In)) }}
}

// asking is a method about the person whose session is open.
func asking[In any](do func(context.Context, *client.Person, *In) (any, error)) method {
	return aboutPerson(newOf[In], func(ctx context.Context, person *client.Person, in any) (any, error) {
		return do(ctx, person, in.(*In))
	})
}

func newOf[In any]() any { return new(In) }

func aboutPerson(params func() any, do func(context.Context, *client.Person, any) (any, error)) method {
	return method{params, func(ctx context.Context, p *Port, in any) (any, error) {
		return p.asPerson(ctx, codeIn(in), func(person *client.Person) (any, error) { return do(ctx, person, in) })
	}}
}

// with opens the store and runs do. code is for nodes that want a second factor.
func (p *Port) with(ctx context.Context, code code, do func(*client.Client, Store) (any, error)) (any, error) {
	source, err := code.source()
	if err != nil {
		return nil, err
	}
	store, err := p.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return do(client.New(p.Transport, store, client.WithCodes(source), client.WithKeptFeed()), store)
}

// asPerson resumes the session and runs do.
func (p *Port) asPerson(ctx context.Context, code code, do func(*client.Person) (any, error)) (any, error) {
	return p.with(ctx, code, func(c *client.Client, _ Store) (any, error) {
		person, err := c.Resume(ctx)
		if err != nil {
			return nil, err
		}
		result, err := do(person)
		p.tellSent(ctx, person)
		return result, err
	})
}
