package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"peerbrain-node": main})
}

// leakless are tests that leave no goroutine behind. testscript ends the
// process itself, so what they come to is handed on.
type leakless struct{ *testing.M }

func (l leakless) Run() (status int) {
	goleak.VerifyTestMain(l.M, goleak.Cleanup(func(s int) { status = s }),
		// Of fasthttp: see package node.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
	return status
}

// clean takes the node's variables out of the environment.
func clean(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "PEERBRAIN_") {
			t.Setenv(name, "") // puts it back after the test
			os.Unsetenv(name)
		}
	}
}

func TestCommandLine(t *testing.T) {
	clean(t)
	data := t.TempDir()
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string // parts
	}{
		{"--help", 0, "serve", ""},
		{"serve --help", 0, "peerbrain-node serve --dev --listen", ""},
		{"help serve", 0, "PEERBRAIN_LIMITS_CONNECTIONS_PER_ADDRESS", ""},
		{"migrate --help", 0, "peerbrain-node migrate --data", ""},
		{"migrate now", 2, "", "unknown argument \"now\""},
		{"migrate --data " + data + "/none", 0, "nothing to do", ""},
		{"--version", 0, "peerbrain-node version", ""},
		{"completion bash", 0, "peerbrain-node", ""},
		{"", 2, "", "peerbrain-node: a command was expected\nhint: peerbrain-node --help"},
		{"dance", 2, "", `unknown command "dance"`},
		{"serv", 2, "", "serve"},
		{"serve now", 2, "", "unknown argument \"now\"\nhint: peerbrain-node serve --help"},
		{"serve --colour red", 2, "", "unknown flag: --colour"},
		{"serve --data", 2, "", "flag needs an argument"},
		{"serve --dev=maybe", 2, "", "--dev"},
		{"serve", 2, "", "name: a name such as node.example was expected; to try PeerBrain on this machine, use --dev"},
		{"serve --name localhost:8081", 2, "", "use --dev"},
		{"serve --dev --name node.example", 2, "", "localhost"},
		{"serve --log-level loud --name node.example", 2, "", `--log-level: "loud" was found`},
		{"serve --config /nowhere.yaml", 2, "", "/nowhere.yaml"},
		{"serve --dev --listen 127.0.0.1:0 --data " + filepath.Join(data, "file", "x"), 1, "", "peerbrain-node: "},
	} {
		if err := os.WriteFile(filepath.Join(data, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
		if status != test.status || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
			t.Errorf("%q: status %d, said %q and %q; want %d, %q and %q", test.args, status, stdout.String(), stderr.String(), test.status, test.stdout, test.stderr)
		}
		if test.status != 0 && stdout.Len() > 0 {
			t.Errorf("%q: failed, and said on standard output %q", test.args, stdout.String())
		}
	}
}

// TestHelpIsComplete looks for every key in the help of serve.
func TestHelpIsComplete(t *testing.T) {
	clean(t)
	var help bytes.Buffer
	if status := run(t.Context(), []string{"serve", "--help"}, &help, io.Discard); status != 0 {
		t.Fatal(status)
	}
	for _, s := range node.Settings() {
		if !strings.Contains(help.String(), "--"+s.Flag()) || !strings.Contains(help.String(), s.Env()) {
			t.Errorf("the help does not tell of --%s or %s", s.Flag(), s.Env())
		}
		if flag := "--" + strings.ReplaceAll(s.Key, ".", "-"); s.Secret && strings.Contains(help.String(), flag) {
			t.Errorf("%s is a secret and has the flag %s", s.Key, flag)
		}
	}
}

// served collects what a node logs and tells when it serves.
type served struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *served) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *served) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// finds waits until the log matches, and returns what the group holds.
func (s *served) finds(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found := expression.FindStringSubmatch(s.String()); found != nil {
			return found[len(found)-1]
		}
	}
	t.Fatalf("the log does not say %q:\n%s", pattern, s.String())
	return ""
}

// TestServe serves, reads the level of the log again on HUP, and ends.
func TestServe(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write := func(level string) {
		if err := os.WriteFile(file, []byte("dev: true\nlisten: 127.0.0.1:0\nlog: {level: "+level+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("info")
	t.Setenv("PEERBRAIN_CONFIG", file)
	t.Setenv("PEERBRAIN_DATA", filepath.Join(dir, "data"))
	ctx, stop := context.WithCancel(t.Context())
	var log served
	done := make(chan int)
	go func() { done <- run(ctx, []string{"serve"}, io.Discard, &log) }()
	addr := log.finds(t, `msg=serving name=localhost:[0-9]+ address=(127\.0\.0\.1:[0-9]+) store=bolt data=`+regexp.QuoteMeta(dir))
	asks := func() {
		t.Helper()
		response, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("got %d, want 200", response.StatusCode)
		}
	}
	asks()
	if strings.Contains(log.String(), "msg=request") {
		t.Errorf("requests are logged at level info:\n%s", log.String())
	}
	hup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("debug")
	hup()
	log.finds(t, `configuration reloaded.*log.level=(DEBUG)`)
	asks()
	log.finds(t, `msg=request method=GET route=/healthz (status=200)`)
	write("loud")
	hup()
	log.finds(t, `configuration not reloaded.*(loud)`)
	http.DefaultClient.CloseIdleConnections()
	stop()
	if status := <-done; status != 0 {
		t.Errorf("ended with status %d, want 0:\n%s", status, log.String())
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}
