package node

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const exampleConfig = "../config.example.yaml"

// loads writes a file and loads it with the rest.
func loads(t *testing.T, file string, env []string, flags map[string]string) (Config, error) {
	t.Helper()
	from := Sources{Env: env, Flags: flags}
	if file != "" {
		from.File = filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(from.File, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return LoadConfig(from)
}

func TestConfigPrecedence(t *testing.T) {
	file := "name: file.example\nlog: {level: debug, format: json}\nlimits:\n  connections: 1\n"
	env := []string{"PEERBRAIN_LOG_LEVEL=warn", "PEERBRAIN_LIMITS_CONNECTIONS=2", "HOME=/", "PEERBRAIN_HOME=/x", "PEERBRAIN_PASSWORD=y", "PEERBRAIN_TEST_ANY=z", "PEERBRAIN_CONFIG=q"}
	c, err := loads(t, file, env, map[string]string{"limits.connections": "3"})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Listen, " ", c.Name, " ", c.Log.Format, " ", c.Log.Level, " ", c.Limits.Connections)
	if want := "127.0.0.1:8080 file.example json WARN 3"; got != want {
		t.Errorf("got %s, want %s (from: nowhere, the file, the file, the environment, a flag)", got, want)
	}
}

// someWitness is the verifier key of one.
const someWitness = "other.example/v1/witness+9e6d576b+BDzt1qj8MdCNfhap8LCSrW8XwKO1ZVZt3cWNAHOb49w4"

func TestConfigRefuses(t *testing.T) {
	const named = "name: node.example\n"
	for _, test := range []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       string // part of the error
	}{
		{"no name", "", nil, nil, "name: a name such as node.example was expected; to try PeerBrain on this machine, use --dev"},
		{"an unknown key", named + "lissen: x", nil, nil, "line 2: lissen: there is no such key; did you mean listen?"},
		{"a key unlike any", named + "colour: red", nil, nil, "line 2: colour: there is no such key"},
		{"an unknown key in a group", named + "log: {levle: info}", nil, nil, "log.levle: there is no such key; did you mean log.level?"},
		{"a key with dots", named + "log.level: info", nil, nil, "line 2: log.level: levels below each other were expected, not dots"},
		{"a key twice", named + "dev: false\ndev: false", nil, nil, "dev: the key is there twice"},
		{"a group twice", named + "log: {level: info}\nlog: {format: text}", nil, nil, "log: the key is there twice"},
		{"no value", named + "data:", nil, nil, "data: one value was expected"},
		{"a list", named + "proxies: [10.0.0.1]", nil, nil, "proxies: one value was expected"},
		{"a group instead of a value", named + "data: {a: b}", nil, nil, "data: one value was expected"},
		{"a value instead of a group", named + "log: info", nil, nil, "keys with values were expected"},
		{"a list at the top", "- name", nil, nil, "keys with values were expected"},
		{"two documents", named + "---\nname: b.example", nil, nil, "one document was expected"},
		{"no yaml", "name: [", nil, nil, "line 1"},
		{"an alias", "contact: &a x\nname: *a", nil, nil, "name: one value was expected"},
		{"a merge", "<<: {name: node.example}", nil, nil, "<<: there is no such key"},
		{"an unknown variable", "", []string{"PEERBRAIN_NAMES=x"}, nil, "PEERBRAIN_NAMES: there is no such variable; did you mean PEERBRAIN_NAME?"},
		{"a bad variable", named, []string{"PEERBRAIN_DEV=maybe"}, nil, `PEERBRAIN_DEV: "maybe" was found, true or false was expected`},
		{"a bad flag", named, nil, map[string]string{"log.level": "loud"}, `--log-level: "loud" was found, debug, info, warn or error was expected`},
		{"a bad key of the file", named + "limits: {connections: many}", nil, nil, `limits.connections: "many" was found, a whole number was expected`},
		{"a level in another case", named + "log: {level: INFO}", nil, nil, "log.level"},
		{"a level between", named + "log: {level: info+1}", nil, nil, "log.level"},
		{"a format", named + "log: {format: xml}", nil, nil, `log.format: "xml" was found`},
		{"a time without a unit", named + "timeouts: {read: 30}", nil, nil, `timeouts.read: "30" was found, a time such as 30s`},
		{"no time", named + "timeouts: {idle: 0s}", nil, nil, "timeouts: read, write and idle are more than 0s"},
		{"a short session", named + "sessions: {lifetime: 1s}", nil, nil, "sessions.lifetime: 1s was found"},
		{"a short interval", named + "sync: {interval: 1ms}", nil, nil, "sync.interval: 1ms was found"},
		{"no connections", named + "limits: {connections_per_address: 0}", nil, nil, "limits: connections, connections_per_address and requests are at least 1"},
		{"registration", named + "registration: maybe", nil, nil, `registration: "maybe" was found, open or closed was expected`},
		{"a proxy", named + "proxies: proxy.example", nil, nil, `proxies: "proxy.example" was found`},
		{"a log", named + "witness: {logs: example.com/log}", nil, nil, `witness.logs: "example.com/log" was found, a verifier key of a log`},
		{"a witness without a URL", named + "witness: {ask: " + someWitness + "}", nil, nil, "witness.ask: behind the key of other.example/v1/witness, a space and a URL"},
		{"a witness in plain HTTP", named + "witness: {ask: " + someWitness + " http://w.example}", nil, nil, "witness.ask: "},
		{"a witness with a password", named + "witness: {ask: '" + someWitness + " https://a:canary@w.example'}", nil, nil, "witness.ask: "},
		{"a witness with a log's key", named + "witness: {ask: example.com/log+bf4e9b2a+ASGQqFHvBYOUuLOsZqDUhKPDCWgNyrFZWxBVM9AVbcCk https://w.example}", nil, nil, "witness.ask: witness: "},
		{"an origin with a path", named + "web: {origins: 'https://a.example/'}", nil, nil, `web.origins: "https://a.example/" was found, an origin such as https://pb.example or http://127.0.0.1:8800 was expected`},
		{"any origin", named + "web: {origins: '*'}", nil, nil, `web.origins: "*" was found`},
		{"seventeen origins", named + "web: {origins: '" + manyOrigins(17) + "'}", nil, nil, "web.origins: at most 16 origins were expected"},
		{"five witnesses", named + "witness: {ask: '" + strings.Repeat(someWitness+" https://w.example,", 5) + "'}", nil, nil, "witness.ask: 5 witnesses were found, at most 4"},
		{"a network with host bits", named + "proxies: 10.0.0.1/8", nil, nil, `proxies: "10.0.0.1/8" was found`},
		{"a name", "name: Node.Example", nil, nil, "name: node"},
		{"a host", named + "host: 10.0.0.1", nil, nil, "host: node"},
		{"listen", named + "listen: 8080", nil, nil, `listen: "8080" was found, host:port`},
		{"a port", named + "listen: 127.0.0.1:99999", nil, nil, `listen: port "99999"`},
		{"a development name", "name: localhost:8081", nil, nil, `name: "localhost:8081" is a name for development; use --dev`},
		{"a public name in development", named + "dev: true", nil, nil, `name: --dev serves plain http and may use localhost or localhost:PORT only, not "node.example"`},
		{"a public host in development", "name: localhost\nhost: node.example\ndev: true", nil, nil, `host: --dev`},
		{"a host without a name", "host: localhost\ndev: true", nil, nil, "host: it needs a name as well"},
		{"all addresses in development", "dev: true\nlisten: :8081", nil, nil, "listen: --dev serves this machine only; 127.0.0.1:8081 was expected"},
		{"a public address in development", "dev: true\nlisten: 192.0.2.1:8081", nil, nil, "listen: --dev serves this machine only"},
		{"an unspecified address in development", "dev: true\nlisten: '[::]:8081'", nil, nil, "listen: --dev serves this machine only"},
		{"a kind of store", named + "store: {kind: mongo}", nil, nil, `store.kind: "mongo" was found, bolt or mongodb was expected`},
		{"no uri", named + "store: {kind: mongodb}", nil, nil, "store.mongodb.uri: a URI was expected, from the file or from PEERBRAIN_STORE_MONGODB_URI"},
		{"a uri by a flag", named + "store: {kind: mongodb}", nil, map[string]string{"store.mongodb.uri": "mongodb://canary"}, "store.mongodb.uri: a URI was expected"},
		{"a uri of another kind", named + "store: {kind: mongodb}", []string{"PEERBRAIN_STORE_MONGODB_URI=http://canary@b"}, nil, "store.mongodb.uri: a URI such as mongodb://"},
		{"a database", named + "store: {kind: mongodb, mongodb: {uri: 'mongodb://canary', database: a.b}}", nil, nil, `store.mongodb.database: "a.b" was found`},
		{"a size without a number", named + "copies: {max_bytes: GiB}", nil, nil, `copies.max_bytes: "GiB" was found, a size such as 500MiB, 10GiB or 1TiB was expected`},
		{"a size of another unit", named + "copies: {max_bytes: 10GB}", nil, nil, `copies.max_bytes: "10GB" was found`},
		{"a size that is broken", named + "copies: {max_bytes: 1.5GiB}", nil, nil, `copies.max_bytes: "1.5GiB" was found`},
		{"a size below nothing", named, []string{"PEERBRAIN_COPIES_MAX_BYTES=-1MiB"}, nil, `PEERBRAIN_COPIES_MAX_BYTES: "-1MiB" was found`},
		{"a size that no number holds", named, nil, map[string]string{"copies.max_bytes": "9000000TiB"}, `--copies-max-bytes: "9000000TiB" was found`},
		{"no copies", named + "copies: {max_bytes: 0}", nil, nil, "copies.max_bytes: 0 was found, 1MiB to 1024TiB was expected"},
		{"hardly any copies", named + "copies: {max_bytes: 1023KiB}", nil, nil, "copies.max_bytes: 1023KiB was found"},
		{"too many copies", named + "copies: {max_bytes: 1025TiB}", nil, nil, "copies.max_bytes: 1025TiB was found"},
		{"a database of MongoDB", named + "store: {kind: mongodb, mongodb: {uri: 'mongodb://canary', database: admin}}", nil, nil, `store.mongodb.database: "admin" is MongoDB's own`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := loads(t, test.file, test.env, test.flags)
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("a part of the URI is in the error: %v", err)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := LoadConfig(Sources{File: "/nowhere/config.yaml"}); err == nil || !strings.Contains(err.Error(), "/nowhere/config.yaml") {
		t.Errorf("no file: got %v", err)
	}
}

func TestDevelopmentConfig(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "localhost:8081", "[::1]:8081", "127.1.2.3:1"} {
		if _, err := loads(t, "dev: true\nlisten: '"+listen+"'", nil, nil); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// TestExampleConfig holds the example to the code: it has every key and no
// other, and says of each what its default is.
func TestExampleConfig(t *testing.T) {
	c, err := LoadConfig(Sources{File: exampleConfig})
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Name = "node.example"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the example says %+v, the defaults are %+v", c, want)
	}
	text, err := os.ReadFile(exampleConfig)
	if err != nil {
		t.Fatal(err)
	}
	values, err := parseFile(text)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, s := range Settings() {
		keys = append(keys, s.Key)
	}
	if got := slices.Sorted(maps.Keys(values)); !slices.Equal(got, slices.Sorted(slices.Values(keys))) {
		t.Errorf("the example has the keys %q, want %q", got, keys)
	}
}

// TestSettings sets each key, by each way, to something else than the default,
// and expects one field of Config to change; and every field to have a key.
func TestSettings(t *testing.T) {
	other := map[string]string{
		"name": "b.example", "host": "api.b.example", "listen": ":1", "data": "/b", "dev": "true", "contact": "b", "registration": "closed",
		"store.kind": "mongodb", "store.mongodb.uri": "mongodb://a:canary-password@b/", "store.mongodb.database": "b",
		"tls.cert_file": "/cert", "tls.key_file": "/key", "tls.acme": "true", "tls.acme_directory": "https://ca.example/",
		"copies.max_bytes": "7MiB", "peers.file": "/somewhere", "proxies": "10.0.0.0/8,192.0.2.1", "log.level": "error", "log.format": "json", "sync.interval": "7s", "sessions.lifetime": "1h", "keys.lifetime": "7h", "witness.ask": "other.example/v1/witness+9e6d576b+BDzt1qj8MdCNfhap8LCSrW8XwKO1ZVZt3cWNAHOb49w4 https://other.example/v1/witness", "witness.logs": "example.com/log+bf4e9b2a+ASGQqFHvBYOUuLOsZqDUhKPDCWgNyrFZWxBVM9AVbcCk",
		"web.origins":        "http://127.0.0.1:8800",
		"limits.connections": "7", "limits.connections_per_address": "7", "limits.requests": "7", "timeouts.read": "7s", "timeouts.write": "7s", "timeouts.idle": "7s",
	}
	changed := map[string]string{}
	env := map[string]bool{}
	for _, s := range Settings() {
		if env[s.Env()] || s.Usage == "" {
			t.Errorf("%s: variable %s is there twice, or there is no usage", s.Key, s.Env())
		}
		env[s.Env()] = true
		c := DefaultConfig()
		if err := s.set(&c, other[s.Key]); err != nil {
			t.Errorf("%s: %v", s.Key, err)
			continue
		}
		again := DefaultConfig()
		if s.Secret {
			if got := fmt.Sprintf("%s %+v", s.get(&c), c); s.Flag() != "" || strings.Contains(got, "canary") {
				t.Errorf("%s is a secret: flag %q, prints %s", s.Key, s.Flag(), got)
			}
			again = c
		} else if err := s.set(&again, s.get(&c)); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%s: %q does not set what it was written from (%v)", s.Key, s.get(&c), err)
		}
		diff := leaves(reflect.ValueOf(c), "")
		for path, v := range leaves(reflect.ValueOf(DefaultConfig()), "") {
			if !reflect.DeepEqual(diff[path], v) {
				if changed[path] != "" {
					t.Errorf("%s is set by %s and by %s", path, changed[path], s.Key)
				}
				changed[path] = s.Key
			}
		}
	}
	for path := range leaves(reflect.ValueOf(DefaultConfig()), "") {
		if changed[path] == "" && path != "Site" { // which the program brings
			t.Errorf("no key sets %s", path)
		}
	}
}

// leaves lists the fields of a struct of structs.
func leaves(v reflect.Value, prefix string) map[string]any {
	all := map[string]any{}
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		if f.Kind() == reflect.Struct && f.NumField() > 0 && f.Type().PkgPath() == v.Type().PkgPath() {
			maps.Copy(all, leaves(f, name+"."))
		} else {
			all[name] = f.Interface()
		}
	}
	return all
}

func TestDefaultData(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for xdg, want := range map[string]string{
		"":         home + "/.local/share/peerbrain-node",
		"relative": home + "/.local/share/peerbrain-node",
		"/data":    "/data/peerbrain-node",
	} {
		t.Setenv("XDG_DATA_HOME", xdg)
		if got := DefaultConfig().Data; got != want {
			t.Errorf("XDG_DATA_HOME=%q: got %q, want %q", xdg, got, want)
		}
		c, err := loads(t, "", nil, map[string]string{"dev": "true", "data": ""})
		if err != nil || c.Data != want || c.Sessions != 180*24*time.Hour {
			t.Errorf("XDG_DATA_HOME=%q: got %q (%v), want %q", xdg, c.Data, err, want)
		}
	}
}
