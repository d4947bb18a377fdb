package story_test

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	configured "github.com/peerbrain/peerbrain/node"
)

// dockerfileFaults holds the Dockerfile to what it copies, builds and starts.
func dockerfileFaults(t *testing.T, text string) (faults []string) {
	t.Helper()
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var env []string
	seen, user, built, page := map[string]string{}, "", "", false
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[word] += rest + "\n"
		fields := strings.Fields(rest)
		switch {
		case word == "FROM" && !pinned.MatchString(fields[0]):
			fault("%s is not of one version", fields[0])
		case word == "FROM":
			user = "root"
		case word == "USER":
			user = rest
		case word == "ENV":
			env = append(env, rest)
		case word == "RUN" && rest == "go generate ./client/web":
			page = built == ""
		case word == "RUN" && strings.Contains(rest, "go build"):
			built = fields[len(fields)-1]
			if !strings.Contains(rest, "CGO_ENABLED=0") || !strings.Contains(rest, `-tags nethttpomithttp2 -trimpath -ldflags "-s -w"`) {
				fault("%s: not as `make build` builds", rest)
			}
		case word == "COPY" && !strings.HasPrefix(rest, "--from"):
			for _, from := range fields[:len(fields)-1] {
				if _, err := os.Stat(filepath.Join(root, from)); err != nil {
					fault("COPY: %v", err)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(root, built, "main.go")); built == "" || err != nil {
		fault("it builds %q, which is no command (%v)", built, err)
	}
	if binary := path.Base(built); !strings.Contains(seen["COPY"], "/out/"+binary+" ") || seen["ENTRYPOINT"] != `["`+binary+"\"]\n" || seen["CMD"] != "[\"serve\"]\n" {
		fault("it builds %s and starts %s%s", binary, seen["ENTRYPOINT"], seen["CMD"])
	}
	if !page {
		fault("it does not build the web client before the node")
	}
	if user == "" || user == "root" {
		fault("it runs as root")
	}
	config, err := configured.LoadConfig(configured.Sources{Env: append(env, "PEERBRAIN_NAME=one.example")})
	_, port, _ := net.SplitHostPort(config.Listen)
	if err != nil || seen["EXPOSE"] != port+"\n" || seen["VOLUME"] != config.Data+"\n" || !strings.Contains(seen["HEALTHCHECK"], "127.0.0.1:"+port+"/healthz") {
		fault("what it says of the port, the folder and the health does not fit %v (%v)", env, err)
	}
	return faults
}
