package story_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A directive of nginx or Caddy: words, and what stands in braces after them.
type directive struct {
	words []string
	block []directive
}

var proxyToken = regexp.MustCompile(`#[^\n]*|"[^"\n]*"|\{[a-z_]+\}|[{};\n]|[^\s{};"]+`)

// directives reads the text of a configuration: nginx ends a directive with a
// semicolon, Caddy with a line.
func directives(text, end string) ([]directive, error) {
	tokens := proxyToken.FindAllString(text, -1)
	list, left, err := readDirectives(tokens, end)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%q follows the end", left)
	}
	return list, err
}

func readDirectives(tokens []string, end string) (list []directive, left []string, err error) {
	var d directive
	for len(tokens) > 0 {
		token := tokens[0]
		tokens = tokens[1:]
		switch {
		case token == end:
			if len(d.words) > 0 {
				list, d = append(list, d), directive{}
			}
		case strings.HasPrefix(token, "#"), token == "\n":
		case token == ";":
			return nil, nil, fmt.Errorf("a semicolon after %q", d.words)
		case token == "{":
			if d.block, tokens, err = readDirectives(tokens, end); err != nil {
				return nil, nil, err
			}
			if len(tokens) == 0 || tokens[0] != "}" {
				return nil, nil, fmt.Errorf("%q does not end", d.words)
			}
			list, d, tokens = append(list, d), directive{}, tokens[1:]
		case token == "}":
			if len(d.words) > 0 {
				return nil, nil, fmt.Errorf("%q does not end", d.words)
			}
			return list, append([]string{"}"}, tokens...), nil
		default:
			d.words = append(d.words, strings.Trim(token, `"`))
		}
	}
	if len(d.words) > 0 {
		err = fmt.Errorf("%q does not end", d.words)
	}
	return list, nil, err
}

// flat lists directives with the words of those around them in front, each once.
func flat(prefix string, list []directive) (lines []string) {
	for _, d := range list {
		line := prefix + strings.Join(d.words, " ")
		if d.block == nil {
			lines = append(lines, line)
		} else {
			lines = append(lines, flat(line+" > ", d.block)...)
		}
	}
	return lines
}

// TestProxySnippets reads what docs/operating.md shows of nginx and Caddy, and
// holds it to what it says a proxy has to do, and to the limits of a node.
func TestProxySnippets(t *testing.T) {
	text := houseText(t, "docs/operating.md")
	parsed := func(language, end string) (all [][]string) {
		for _, block := range blocks(text, language) {
			list, err := directives(block, end)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d directives of %s, %v, in\n%s", len(list), language, err, block)
			}
			all = append(all, flat("", list))
		}
		if len(all) != 2 {
			t.Fatalf("there are %d snippets of %s, want 2", len(all), language)
		}
		return all
	}
	for i, want := range [][]string{{
		"server > listen 443 ssl", "server > server_name node.example", "server > ssl_certificate /etc/ssl/node.example.pem", "server > ssl_certificate_key /etc/ssl/node.example.key",
		"server > client_max_body_size 4m",
		"server > location / > proxy_pass http://127.0.0.1:8080", "server > location / > proxy_http_version 1.1", "server > location / > proxy_set_header Connection ",
		"server > location / > proxy_set_header Host $host", "server > location / > proxy_set_header X-Forwarded-For $remote_addr", "server > location / > proxy_read_timeout 60s",
	}, {
		"server > listen 443 ssl", "server > server_name example.org", "server > ssl_certificate /etc/ssl/example.org.pem", "server > ssl_certificate_key /etc/ssl/example.org.key",
		`server > location ~ ^/\.well-known/(peerbrain|nodeinfo|webfinger)$ > proxy_pass https://pb.example.org`,
		`server > location ~ ^/\.well-known/(peerbrain|nodeinfo|webfinger)$ > proxy_ssl_server_name on`,
		`server > location ~ ^/\.well-known/(peerbrain|nodeinfo|webfinger)$ > proxy_set_header Host pb.example.org`,
		`server > location ~ ^/\.well-known/(peerbrain|nodeinfo|webfinger)$ > proxy_set_header X-Forwarded-For $remote_addr`,
	}} {
		if got := parsed("nginx", ";")[i]; !slices.Equal(got, want) {
			t.Errorf("nginx: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for i, want := range [][]string{
		{"node.example > request_body > max_size 4MiB", "node.example > reverse_proxy 127.0.0.1:8080"},
		{
			"example.org > @peerbrain path /.well-known/peerbrain /.well-known/nodeinfo /.well-known/webfinger",
			"example.org > reverse_proxy @peerbrain https://pb.example.org > header_up Host {upstream_hostport}",
		},
	} {
		if got := parsed("caddy", "\n")[i]; !slices.Equal(got, want) {
			t.Errorf("Caddy: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	// The bodies that have to pass: a vault in base64, with its head and slots.
	const mebibytes = 4
	if least := (wire.MaxVault + wire.MaxSlots + wire.MaxStatement) * 4 / 3; mebibytes<<20 < least {
		t.Errorf("%d MiB do not hold the %d bytes of a vault", mebibytes, least)
	}
	example := houseText(t, "config.example.yaml")
	if want := "listen: 127.0.0.1:8080\n"; !strings.Contains(example, want) {
		t.Errorf("a node does not listen where the snippets lead: %s", want)
	}
	beat := regexp.MustCompile(`watchBeat += (\d+) \* time\.Second`).FindStringSubmatch(houseText(t, "node/watch.go"))
	if seconds, err := strconv.Atoi(beat[1]); err != nil || time.Duration(seconds)*time.Second >= 30*time.Second {
		t.Errorf("an event stream is silent for %s s, and proxies are told that 30 s are enough", beat[1])
	}
	well := regexp.MustCompile(`^/\.well-known/(peerbrain|nodeinfo|webfinger)$`) // as nginx reads it
	for _, path := range []string{wire.PathDocument, wire.PathNodeInfoLinks, wire.PathWebFinger} {
		if !well.MatchString(path) {
			t.Errorf("the name does not pass on %s", path)
		}
	}
}
