package story_test

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	configured "github.com/peerbrain/peerbrain/node"
)

// A composition is what is looked at of docker-compose.yml.
type composition struct {
	Services map[string]service
	Configs  map[string]struct{ Content string }
	Secrets  map[string]struct{ Environment string }
	Networks map[string]any
	Volumes  map[string]any
}

type service struct {
	Image, Build string
	Restart      string
	Environment  map[string]string
	Ports        []string
	Volumes      []string
	Networks     any // a list, or a mapping
	Secrets      []string
	Configs      []struct{ Source string }
	Entrypoint   []string
	DependsOn    map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck  struct{ Test []string }
	Grace        string `yaml:"stop_grace_period"`
}

// standIns are what somebody sets who starts it. All of them are asked for,
// but for the contact, which may be empty.
var standIns = map[string]string{
	"EMBEDDED_NAME": "one.example", "SHARED_NAME": "two.example", "CONTACT": "",
	"MONGO_PASSWORD": "letters", "MONGO_ROOT_PASSWORD": "digits", "MONGO_KEY": "both",
}

var (
	variable = regexp.MustCompile(`\$\{([A-Z_]+)(:[?-])([^}]*)\}`)
	pinned   = regexp.MustCompile(`^[a-z./-]+:[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?$`)
	upstream = regexp.MustCompile(`[a-z0-9-]+:[0-9]+`)
	secretly = regexp.MustCompile(`PASSWORD|SECRET|TOKEN|_KEY$`)
	inAURI   = regexp.MustCompile(`://[^:/@\s]+:([^@\n]*)@`)
)

const builtImage = "peerbrain-node:local" // of the Dockerfile

func TestCompose(t *testing.T) {
	compose, dockerfile := atTheTop(t, "docker-compose.yml"), atTheTop(t, "Dockerfile")
	report(t, composeFaults(compose))
	report(t, dockerfileFaults(t, dockerfile))
	if c, _ := parseCompose(compose); len(c.Services) < 7 {
		t.Errorf("%d services were read, too few", len(c.Services))
	}
}

func atTheTop(t *testing.T, name string) string {
	t.Helper()
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parseCompose sets what is to be set, and reads the rest.
func parseCompose(text string) (c composition, faults []string) {
	asked := map[string]bool{}
	text = variable.ReplaceAllStringFunc(text, func(whole string) string {
		m := variable.FindStringSubmatch(whole)
		value, ok := standIns[m[1]]
		if !ok || (m[2] == ":?") != (m[1] != "CONTACT") || m[2] == ":?" && m[3] == "" {
			faults = append(faults, whole+": unknown, or not asked for in words")
		}
		asked[m[1]] = true
		return value
	})
	for _, line := range strings.Split(text, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.Contains(strings.ReplaceAll(line, "$$", ""), "$") {
			faults = append(faults, line+": a variable without ${NAME:?what it is}")
		}
	}
	if len(asked) != len(standIns) {
		faults = append(faults, fmt.Sprintf("%d variables, want %d", len(asked), len(standIns)))
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		faults = append(faults, err.Error())
	}
	return c, faults
}

func composeFaults(text string) []string {
	c, faults := parseCompose(text)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+): *(.*)$`).FindAllStringSubmatch(text, -1) {
		if secretly.MatchString(m[1]) && !regexp.MustCompile(`^\$\{\w+:\?.+\}$`).MatchString(m[2]) {
			fault("%s: a secret is written out", m[1])
		}
	}
	for _, m := range inAURI.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "${") && !strings.HasPrefix(m[1], "' + process.env.") {
			fault("%s: a password is written out", m[0])
		}
	}
	for name, s := range c.Services {
		for _, f := range slices.Concat(c.aboutLife(name, s), c.aboutThings(s), c.aboutNode(s)) {
			fault("%s: %s", name, f)
		}
	}
	faults = append(faults, c.aboutProxy()...)
	faults = append(faults, c.unused()...)
	return faults
}

// aboutLife looks at images, health, and who waits for whom.
func (c composition) aboutLife(name string, s service) (faults []string) {
	if s.Build == "" && !pinned.MatchString(s.Image) || s.Build != "" && s.Image != builtImage {
		faults = append(faults, fmt.Sprintf("image %q is not of one version", s.Image))
	}
	once := s.Restart == "no"
	if once == (len(s.Healthcheck.Test) > 1) {
		faults = append(faults, "what goes on needs a health check, and what ends has none")
	}
	for other, how := range s.DependsOn {
		to, ok := c.Services[other]
		want := "service_healthy"
		if to.Restart == "no" {
			want = "service_completed_successfully"
		}
		if !ok || how.Condition != want {
			faults = append(faults, fmt.Sprintf("depends on %s, %q, want a service that is there and %s", other, how.Condition, want))
		}
	}
	if name != "proxy" && len(s.Ports) > 0 {
		faults = append(faults, fmt.Sprintf("ports %q: only the proxy is for the world", s.Ports))
	}
	return faults
}

// aboutThings looks for volumes, networks, secrets and configs that are not there.
func (c composition) aboutThings(s service) (faults []string) {
	for _, v := range s.Volumes {
		if name, _, _ := strings.Cut(v, ":"); !has(c.Volumes, name) {
			faults = append(faults, "no volume "+name)
		}
	}
	for _, n := range s.networks() {
		if !has(c.Networks, n) {
			faults = append(faults, "no network "+n)
		}
	}
	for _, n := range s.Secrets {
		if !has(c.Secrets, n) {
			faults = append(faults, "no secret "+n)
		}
	}
	for _, n := range s.Configs {
		if c.Configs[n.Source].Content == "" {
			faults = append(faults, "no config "+n.Source)
		}
	}
	return faults
}

func has[V any](m map[string]V, name string) bool {
	_, ok := m[name]
	return ok
}

func (s service) networks() (names []string) {
	switch all := s.Networks.(type) {
	case []any:
		for _, n := range all {
			names = append(names, fmt.Sprint(n))
		}
	case map[string]any:
		names = slices.Collect(maps.Keys(all))
	}
	return names
}

// aboutNode loads the configuration of a node as the node does.
func (c composition) aboutNode(s service) (faults []string) {
	var env []string
	for name, value := range s.Environment {
		env = append(env, name+"="+value)
	}
	ours := slices.ContainsFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "PEERBRAIN_") })
	if ours != (s.Image == builtImage) {
		return []string{"only our own image has our own variables"}
	}
	if !ours {
		return nil
	}
	config, err := configured.LoadConfig(configured.Sources{Env: env})
	if err != nil {
		return []string{err.Error()}
	}
	if !slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasSuffix(v, ":"+config.Data) }) {
		faults = append(faults, "the data folder is no volume")
	}
	if len(config.Proxies) != 1 {
		faults = append(faults, "whose X-Forwarded-For counts?")
	} else if at := strings.TrimSuffix(config.Proxies[0].String(), "/32"); !strings.Contains(fmt.Sprint(c.Services["proxy"].Networks), "ipv4_address:"+at) {
		faults = append(faults, "the proxy is not at "+at)
	}
	if uri := config.Store.MongoDB.URI.Reveal(); config.Store.Kind == configured.StoreMongoDB {
		_, rest, _ := strings.Cut(uri, "@")
		hosts, _, _ := strings.Cut(rest, "/")
		for host := range strings.SplitSeq(hosts, ",") {
			if !has(c.Services, host) || len(s.DependsOn) == 0 {
				faults = append(faults, "no service "+host+", or it does not wait for it")
			}
			faults = append(faults, c.aboutMember(host, uri)...)
		}
	}
	return faults
}

// aboutMember holds a member of the replica set, and what makes it one, to the URI of
// the node.
func (c composition) aboutMember(host, uri string) (faults []string) {
	u, err := url.Parse(uri)
	if err != nil {
		return []string{err.Error()}
	}
	set, made, starts := u.Query().Get("replicaSet"), c.Configs["mongo-init"].Content, strings.Join(c.Services[host].Entrypoint, " ")
	if !strings.Contains(starts, " --replSet "+set+" ") || !strings.Contains(made, "{_id: '"+set+"'") {
		faults = append(faults, host+" is of another set than "+set)
	}
	if !strings.Contains(made, ".getSiblingDB('"+u.Query().Get("authSource")+"')") || !strings.Contains(made, "createUser({user: '"+u.User.Username()+"'") {
		faults = append(faults, "the user of the URI is not made")
	}
	if !strings.Contains(starts, " --wiredTigerCacheSizeGB ") || c.Services[host].Grace == "" {
		faults = append(faults, host+" takes all memory, or has no time to end")
	}
	return faults
}

// aboutProxy looks for each name of a node in the proxy's configuration, and for
// all its processes behind it.
func (c composition) aboutProxy() (faults []string) {
	caddyfile := c.Configs["caddyfile"].Content
	behind := upstream.FindAllString(caddyfile, -1)
	for name, s := range c.Services {
		if s.Image != builtImage {
			continue
		}
		_, port, _ := net.SplitHostPort(s.Environment["PEERBRAIN_LISTEN"])
		if !slices.Contains(behind, name+":"+port) || !strings.Contains(caddyfile, s.Environment["PEERBRAIN_NAME"]+" {") {
			faults = append(faults, name+": the proxy does not lead there")
		}
		if !strings.Contains(strings.Join(s.Healthcheck.Test, " "), "127.0.0.1:"+port+"/healthz") {
			faults = append(faults, name+": its health is asked for elsewhere")
		}
	}
	for _, to := range behind {
		if host, _, _ := net.SplitHostPort(to); c.Services[host].Image != builtImage {
			faults = append(faults, "the proxy leads to "+to+", which is no node")
		}
	}
	if !slices.Equal(c.Services["proxy"].Ports, []string{"80:80", "443:443", "443:443/udp"}) {
		faults = append(faults, fmt.Sprintf("the proxy has the ports %q", c.Services["proxy"].Ports))
	}
	return faults
}

// unused finds what nobody uses.
func (c composition) unused() (faults []string) {
	used := map[string]bool{}
	for _, s := range c.Services {
		for _, v := range s.Volumes {
			name, _, _ := strings.Cut(v, ":")
			if used["volume "+name] {
				faults = append(faults, name+": two services share it")
			}
			used["volume "+name] = true
		}
		for _, n := range s.networks() {
			used["network "+n] = true
		}
		for _, n := range s.Secrets {
			used["secret "+n] = true
		}
		for _, n := range s.Configs {
			used["config "+n.Source] = true
		}
	}
	for kind, names := range map[string][]string{
		"volume": slices.Collect(maps.Keys(c.Volumes)), "network": slices.Collect(maps.Keys(c.Networks)),
		"secret": slices.Collect(maps.Keys(c.Secrets)), "config": slices.Collect(maps.Keys(c.Configs)),
	} {
		for _, n := range names {
			if !used[kind+" "+n] {
				faults = append(faults, kind+" "+n+" is not used")
			}
		}
	}
	return faults
}

// TestComposeGuards spoils both files in one place each, and wants it noticed.
func TestComposeGuards(t *testing.T) {
	compose, dockerfile := atTheTop(t, "docker-compose.yml"), atTheTop(t, "Dockerfile")
	for _, test := range []struct{ old, new, want string }{
		{"PEERBRAIN_LOG_FORMAT:", "PEERBRAIN_LOG_FROMAT:", "there is no such variable"},
		{"PEERBRAIN_STORE_KIND: mongodb", "PEERBRAIN_STORE_KIND: mongo", "store.kind"},
		{"PEERBRAIN_PROXIES: 172.30.7.2", "PEERBRAIN_PROXIES: 172.30.7.3", "the proxy is not at"},
		{"image: caddy:2.10.2-alpine", "image: caddy:latest", "not of one version"},
		{"mongo-2-data:/data/db", "mongo-4-data:/data/db", "no volume mongo-4-data"},
		{"mongo-2-data:/data/db", "mongo-1-data:/data/db", "two services share it"},
		{"\n  mongo-3-data:\n", "\n  mongo-3-data:\n  spare:\n", "volume spare is not used"},
		{"mongo-3: {condition: service_healthy}", "mongo-4: {condition: service_healthy}", "depends on mongo-4"},
		{"mongo-init: {condition: service_completed_successfully}", "mongo-init: {condition: service_started}", "depends on mongo-init"},
		{"  healthcheck:\n    test: [CMD, mongosh", "  x-check:\n    test: [CMD, mongosh", "needs a health check"},
		{"${MONGO_ROOT_PASSWORD:?the password of MongoDB's administrator}", "letters", "a secret is written out"},
		{"${MONGO_PASSWORD:?the password of the node in MongoDB}@", "letters@", "a password is written out"},
		{"${MONGO_KEY:?", "${MONGO_KEY:-", "not asked for"},
		{"subnet: 172.30.7.0/24", "subnet: $SUBNET", "a variable without"},
		{"@mongo-1,mongo-2,mongo-3/?replicaSet=rs0&auth", "@mongo-1,mongo-2,mongo-4/?replicaSet=rs0&auth", "no service mongo-4"},
		{"/?replicaSet=rs0&auth", "/?replicaSet=rs1&auth", "mongo-2 is of another set than rs1"},
		{"authSource=peerbrain", "authSource=admin", "the user of the URI is not made"},
		{" --wiredTigerCacheSizeGB 0.5", "", "mongo-3 takes all memory"},
		{"stop_grace_period: 60s", "x-grace: 60s", "has no time to end"},
		{"reverse_proxy shared-1:8080 shared-2:8080", "reverse_proxy shared-1:8080", "shared-2: the proxy does not lead there"},
		{"reverse_proxy embedded:8080", "reverse_proxy embedded:8080 mongo-1:27017", "which is no node"},
		{"    networks: [front]\n\n", "    networks: [front]\n    ports: [\"8080:8080\"]\n\n", "only the proxy is for the world"},
		{"secrets: [mongo-key]", "secrets: [mongo-keys]", "no secret mongo-keys"},
	} {
		spoilt := strings.Replace(compose, test.old, test.new, 1)
		if faults := strings.Join(composeFaults(spoilt), "\n"); spoilt == compose || !strings.Contains(faults, test.want) {
			t.Errorf("%q instead of %q: got %q, want %q", test.new, test.old, faults, test.want)
		}
	}
	for _, test := range []struct{ old, new, want string }{
		{"golang:1.26.8-alpine", "golang:latest", "not of one version"},
		{"COPY go.mod go.sum", "COPY go.mod go.work", "go.work"},
		{"CGO_ENABLED=0 ", "", "as `make build` builds"},
		{"RUN go generate ./client/web\n", "", "does not build the web client"},
		{"./node/peerbrain-node", "./node/peerbrain", "no command"},
		{`ENTRYPOINT ["peerbrain-node"]`, `ENTRYPOINT ["peerbrain"]`, "and starts"},
		{"USER peerbrain\n", "", "runs as root"},
		{"EXPOSE 8080", "EXPOSE 8081", "does not fit"},
		{"PEERBRAIN_DATA", "PEERBRAIN_DATE", "does not fit"},
		{"127.0.0.1:8080/healthz", "127.0.0.1:8080/health", "does not fit"},
	} {
		spoilt := strings.Replace(dockerfile, test.old, test.new, 1)
		if faults := strings.Join(dockerfileFaults(t, spoilt), "\n"); spoilt == dockerfile || !strings.Contains(faults, test.want) {
			t.Errorf("%q instead of %q: got %q, want %q", test.new, test.old, faults, test.want)
		}
	}
}
