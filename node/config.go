package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Config is what an operator decides. DefaultConfig and LoadConfig make one;
// config.example.yaml explains each key.
type Config struct {
	Name         wire.NodeName // empty in development: localhost and the port
	Host         wire.NodeName // empty: Name
	Listen       string        // host:port; port 0 takes a free one
	Data         string        // folder
	Store        StoreConfig
	Copies       CopiesConfig
	PeersFile    string // of rules about other nodes; empty for none
	Dev          bool
	Contact      string
	Registration Registration
	Proxies      []netip.Prefix
	Log          LogConfig
	SyncInterval time.Duration // 0: the node's default
	Sessions     time.Duration // lifetime
	Keys         KeysConfig
	Witness      WitnessConfig
	Limits       LimitsConfig
	Timeouts     TimeoutsConfig
	TLS          TLSConfig
	Web          WebConfig

	Site Site // what browsers are served, by the program that runs the node; nil for nothing
}

// Registration says who may found an account.
type Registration string

const (
	RegistrationOpen   Registration = "open"
	RegistrationClosed Registration = "closed"
)

// A LogConfig is what is logged, and how.
type LogConfig struct {
	Level  slog.Level
	Format string // text or json
}

// A KeysConfig says how long the node signs requests to other nodes with one key.
type KeysConfig struct{ Lifetime time.Duration }

// A WitnessConfig says which logs the node is a witness of, beside those of nodes that it
// knows (ParseWitnessedLogs), and which witnesses its own log has, beside nodes of friends
// (ParseNamedWitnesses).
type WitnessConfig struct{ Logs, Ask string }

// A WebConfig says which pages may ask the node, beside its own (ParseOrigins).
type WebConfig struct{ Origins string }

// LimitsConfig bounds connections, and requests that are worked on at once.
type LimitsConfig struct{ Connections, PerAddress, Requests int }

// TimeoutsConfig bounds how long a connection may take to send a request, to
// take the answer, and to say nothing in between.
type TimeoutsConfig struct{ Read, Write, Idle time.Duration }

// DefaultConfig returns what holds where nobody decided, but for Name.
func DefaultConfig() Config {
	return Config{
		Listen:       "127.0.0.1:8080",
		Data:         defaultData(),
		Store:        StoreConfig{Kind: StoreBolt, MongoDB: MongoDBConfig{Database: "peerbrain"}},
		Copies:       CopiesConfig{MaxBytes: DefaultMaxCopies},
		Registration: RegistrationOpen,
		Log:          LogConfig{Level: slog.LevelInfo, Format: "text"},
		Sessions:     DefaultSessionLifetime,
		Keys:         KeysConfig{Lifetime: DefaultKeyLifetime},
		Limits:       LimitsConfig{Connections: 20_000, PerAddress: 256, Requests: defaultRequests},
		Timeouts:     TimeoutsConfig{Read: 30 * time.Second, Write: 30 * time.Second, Idle: 2 * time.Minute},
		TLS:          defaultTLS(),
	}
}

// defaultData is $XDG_DATA_HOME/peerbrain-node, or ~/.local/share/peerbrain-node.
func defaultData() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "peerbrain-node")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "peerbrain-node")
	}
	return "peerbrain-data"
}

// A Setting is one key of the configuration.
type Setting struct {
	Key    string // as in the file, with dots between levels: limits.connections
	Usage  string // one line
	Switch bool   // true or false; the flag alone means true
	Secret bool   // has no flag, and does not print

	set func(*Config, string) error
	get func(*Config) string
}

// Env returns the variable: PEERBRAIN_LIMITS_CONNECTIONS.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Flag returns the flag without its dashes: limits-connections. A secret has none.
func (s Setting) Flag() string {
	if s.Secret {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.Key)
}

// Default returns the default as it would stand in the file.
func (s Setting) Default() string {
	c := DefaultConfig()
	return s.get(&c)
}

// Settings is every key there is, in the order of config.example.yaml.
func Settings() []Setting {
	return slices.Concat(placeSettings(), tlsSettings(), storeSettings(), copiesSettings(), peersSettings(), workSettings())
}

// placeSettings are those of who the node is and where.
func placeSettings() []Setting {
	return []Setting{
		text("name", "the `name` in addresses: people are alice@NAME", func(c *Config) *string { return (*string)(&c.Name) }),
		text("host", "the `host` that serves the API of name, if it is another", func(c *Config) *string { return (*string)(&c.Host) }),
		text("listen", "the `address` to listen at, host:port", func(c *Config) *string { return &c.Listen }),
		text("data", "the `folder` that holds everything, but for what is in MongoDB", func(c *Config) *string { return &c.Data }),
	}
}

// workSettings are those of how it works.
func workSettings() []Setting {
	return []Setting{
		{Key: "dev", Usage: "development: localhost names, plain http and loopback peers", Switch: true,
			set: func(c *Config, s string) error { return parseInto(&c.Dev, s, strconv.ParseBool, "true or false") },
			get: func(c *Config) string { return strconv.FormatBool(c.Dev) }},
		text("contact", "how to reach the operator, shown to `everybody`", func(c *Config) *string { return &c.Contact }),
		text("registration", "`open` or closed: whether anybody may register", func(c *Config) *string { return (*string)(&c.Registration) }),
		{Key: "proxies", Usage: "`networks` of reverse proxies whose X-Forwarded-For counts, with commas", set: setProxies, get: getProxies},
		{Key: "log.level", Usage: "`level`: debug, info, warn or error",
			set: func(c *Config, s string) error {
				return parseInto(&c.Log.Level, s, parseLevel, "debug, info, warn or error")
			},
			get: func(c *Config) string { return strings.ToLower(c.Log.Level.String()) }},
		text("log.format", "`format`: text or json", func(c *Config) *string { return &c.Log.Format }),
		span("sync.interval", "`time` between two pulls from another node; 0 for 10s, or 2s in development", func(c *Config) *time.Duration { return &c.SyncInterval }),
		span("sessions.lifetime", "`time` after which people log in again", func(c *Config) *time.Duration { return &c.Sessions }),
		span("keys.lifetime", "`time` after which requests to other nodes are signed with another key, a tenth more or less", func(c *Config) *time.Duration { return &c.Keys.Lifetime }),
		text("witness.logs", "verifier `keys` of other logs that the node cosigns, name+hash+key, with commas", func(c *Config) *string { return &c.Witness.Logs }),
		text("witness.ask", "witnesses that cosign the log of this node, `name+hash+key URL`, with commas", func(c *Config) *string { return &c.Witness.Ask }),
		text("web.origins", "`origins` of pages that may ask the node beside its own, such as http://127.0.0.1:8800, with commas", func(c *Config) *string { return &c.Web.Origins }),
		count("limits.connections", "`number` of connections at once", func(c *Config) *int { return &c.Limits.Connections }),
		count("limits.connections_per_address", "`number` of connections of one address, proxies aside", func(c *Config) *int { return &c.Limits.PerAddress }),
		count("limits.requests", "`number` of requests that are worked on at once; others are told to try again", func(c *Config) *int { return &c.Limits.Requests }),
		span("timeouts.read", "`time` that a request may take to arrive", func(c *Config) *time.Duration { return &c.Timeouts.Read }),
		span("timeouts.write", "`time` that an answer may take to leave", func(c *Config) *time.Duration { return &c.Timeouts.Write }),
		span("timeouts.idle", "`time` that a connection may be idle", func(c *Config) *time.Duration { return &c.Timeouts.Idle }),
	}
}

func text(key, usage string, of func(*Config) *string) Setting {
	return Setting{Key: key, Usage: usage,
		set: func(c *Config, s string) error { *of(c) = s; return nil },
		get: func(c *Config) string { return *of(c) }}
}

func count(key, usage string, of func(*Config) *int) Setting {
	return Setting{Key: key, Usage: usage,
		set: func(c *Config, s string) error { return parseInto(of(c), s, strconv.Atoi, "a whole number") },
		get: func(c *Config) string { return strconv.Itoa(*of(c)) }}
}

func span(key, usage string, of func(*Config) *time.Duration) Setting {
	return Setting{Key: key, Usage: usage,
		set: func(c *Config, s string) error {
			return parseInto(of(c), s, time.ParseDuration, "a time such as 30s, 10m or 4320h")
		},
		get: func(c *Config) string { return of(c).String() }}
}

func parseInto[T any](to *T, s string, parse func(string) (T, error), expected string) error {
	v, err := parse(s)
	if err != nil {
		return fmt.Errorf("%q was found, %s was expected", s, expected)
	}
	*to = v
	return nil
}

func parseLevel(s string) (l slog.Level, err error) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, s) {
		return l, errors.New("unknown level")
	}
	return l, l.UnmarshalText([]byte(s))
}

func setProxies(c *Config, s string) error {
	c.Proxies = nil
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if a, err1 := netip.ParseAddr(part); err1 == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			return fmt.Errorf("%q was found, an address or a network such as 10.0.0.0/8 was expected", part)
		}
		c.Proxies = append(c.Proxies, p)
	}
	return nil
}

func getProxies(c *Config) string {
	var all []string
	for _, p := range c.Proxies {
		all = append(all, p.String())
	}
	return strings.Join(all, ",")
}

// Check refuses what cannot be served. Errors name the key.
func (c *Config) Check() error {
	return errors.Join(c.checkNames(), c.checkListen(), c.checkTLS(), c.checkStore(), c.checkCopies(), c.checkRest())
}

func (c *Config) checkNames() error {
	switch {
	case c.Name == "" && !c.Dev:
		return errors.New("name: a name such as node.example was expected; to try PeerBrain on this machine, use --dev")
	case c.Name == "" && c.Host != "":
		return errors.New("host: it needs a name as well")
	}
	for key, n := range map[string]wire.NodeName{"name": c.Name, "host": c.Host} {
		if n == "" {
			continue
		}
		if _, err := wire.ParseNodeName(string(n)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if n.Development() && !c.Dev {
			return fmt.Errorf("%s: %q is a name for development; use --dev, or a public name", key, n)
		}
		if !n.Development() && c.Dev {
			return fmt.Errorf("%s: --dev serves plain http and may use localhost or localhost:PORT only, not %q", key, n)
		}
	}
	return nil
}

func (c *Config) checkListen() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q was found, host:port such as 127.0.0.1:8080 was expected", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("listen: port %q was found, 0 to 65535 was expected", port)
	}
	if c.Dev && !isLoopback(host) {
		return fmt.Errorf("listen: --dev serves this machine only; 127.0.0.1:%s was expected, not %q", port, c.Listen)
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (c *Config) checkRest() error {
	if _, err := ParseWitnessedLogs(c.Witness.Logs); err != nil {
		return fmt.Errorf("witness.logs: %w", err)
	}
	if _, err := ParseNamedWitnesses(c.Witness.Ask, c.Dev); err != nil {
		return fmt.Errorf("witness.ask: %w", err)
	}
	if _, err := ParseOrigins(c.Web.Origins); err != nil {
		return fmt.Errorf("web.origins: %w", err)
	}
	switch {
	case c.Data == "":
		return errors.New("data: a folder was expected")
	case len(c.Contact) > 256:
		return errors.New("contact: at most 256 bytes were expected")
	case c.Registration != RegistrationOpen && c.Registration != RegistrationClosed:
		return fmt.Errorf("registration: %q was found, open or closed was expected", c.Registration)
	case c.Log.Format != "text" && c.Log.Format != "json":
		return fmt.Errorf("log.format: %q was found, text or json was expected", c.Log.Format)
	case c.SyncInterval < 0 || c.SyncInterval > 0 && c.SyncInterval < 100*time.Millisecond:
		return fmt.Errorf("sync.interval: %v was found, 0 or at least 100ms was expected", c.SyncInterval)
	case c.Sessions < time.Minute:
		return fmt.Errorf("sessions.lifetime: %v was found, at least a minute was expected", c.Sessions)
	case c.Keys.Lifetime < MinKeyLifetime || c.Keys.Lifetime > MaxKeyLifetime:
		return fmt.Errorf("keys.lifetime: %v was found, %v to %v was expected", c.Keys.Lifetime, MinKeyLifetime, MaxKeyLifetime)
	case c.Limits.Connections < 1 || c.Limits.PerAddress < 1 || c.Limits.Requests < 1:
		return errors.New("limits: connections, connections_per_address and requests are at least 1")
	case c.Timeouts.Read <= 0 || c.Timeouts.Write <= 0 || c.Timeouts.Idle <= 0:
		return errors.New("timeouts: read, write and idle are more than 0s")
	}
	return nil
}
