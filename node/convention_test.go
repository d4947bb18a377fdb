package node

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestNodeInfo wants NodeInfo where the links say, in the shape of schema 2.1, and
// the same before and after somebody came.
func TestNodeInfo(t *testing.T) {
	c := devConfig(t)
	c.Name, c.Host = "localhost:1", "localhost:2"
	r := runs(t, c)
	r.name = c.Name
	var links wire.NodeInfoLinks
	r.succeeds(t, "GET", wire.PathNodeInfoLinks, nil, nil, &links)
	if len(links.Links) != 1 || links.Links[0].Rel != wire.RelNodeInfo || links.Links[0].Href != "http://localhost:2"+wire.PathNodeInfo {
		t.Errorf("got %+v", links)
	}
	info := func(r *running) string {
		response, body, _ := says(t, strings.TrimPrefix(r.url, "http://"), head("GET "+wire.PathNodeInfo+" HTTP/1.1", "Host: a"))
		hold(t, "GET", wire.PathNodeInfo, nil, answered{response.StatusCode, response.Header, []byte(body)})
		if got := response.Header.Get("Content-Type"); got != wire.MediaNodeInfo {
			t.Errorf("got Content-Type %q", got)
		}
		return body
	}
	want := `{"version":"2.1","software":{"name":"peerbrain","version":"` + Version() + `"},"protocols":["peerbrain"],` +
		`"services":{"inbound":[],"outbound":[]},"openRegistrations":true,"usage":{"users":{}},"metadata":{}}`
	if got := info(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	r.logsIn(t, ann)
	if got := info(r); got != want {
		t.Errorf("with somebody: got %s", got)
	}
	c.Data, c.Registration = devConfig(t).Data, RegistrationClosed
	if got := info(runs(t, c)); got != strings.Replace(want, `"openRegistrations":true`, `"openRegistrations":false`, 1) {
		t.Errorf("closed: got %s", got)
	}
}

// TestWebFinger asks for addresses in many spellings: those that are registered
// are found, as by a key look-up, and everything else has one answer.
func TestWebFinger(t *testing.T) {
	c := devConfig(t)
	c.Name, c.Host = "localhost:1", "localhost:2"
	r := runs(t, c)
	r.name = c.Name
	ann := newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	token := r.logsIn(t, ann).Token
	asks := func(query string) (*http.Response, string) {
		target := wire.PathWebFinger + query
		response, body, _ := says(t, strings.TrimPrefix(r.url, "http://"), head("GET "+target+" HTTP/1.1", "Host: a"))
		wantHeaders(t, response)
		return response, body
	}
	const found = `{"subject":"acct:ann@localhost:1","links":[{"rel":"service-meta","type":"application/json","href":"http://localhost:1/.well-known/peerbrain"}]}`
	for _, query := range []string{
		"?resource=acct:ann@localhost:1", "?resource=acct%3Aann%40localhost%3A1", "?resource=%61cct:ann@localhost:1",
		"?resource=acct:ann@localhost:1&rel=self", "?rel=a&rel=b&resource=acct:ann@localhost:1", "?x&resource=acct:ann@localhost:1",
	} {
		response, body := asks(query)
		hold(t, "GET", wire.PathWebFinger, nil, answered{response.StatusCode, response.Header, []byte(body)})
		if response.StatusCode != 200 || body != found || response.Header.Get("Content-Type") != wire.MediaJRD {
			t.Errorf("%s: got %d %s", query, response.StatusCode, body)
		}
	}
	var nobody string
	for _, resource := range []string{
		"acct:bob@localhost:1", "acct:ann@localhost:2", "acct:ann@localhost", "acct:ann@node.example", "acct:ann@127.0.0.1:1", "acct:Ann@localhost:1", "acct:ann@LOCALHOST:1",
		"ACCT:ann@localhost:1", "ann@localhost:1", "acct:ann", "acct:@localhost:1", "acct:", "x", "acct:ann@localhost:1%00", "acct:ann@localhost:1%20", "+acct:ann@localhost:1",
		"acct:a%6E%256e@localhost:1", "acct:admin@localhost:1", "http://localhost:1/ann", "acct:*@localhost:1", "acct:%F0%9F%A6%86@localhost:1", "acct:" + strings.Repeat("a", 7000) + "@localhost:1",
	} {
		response, body := asks("?resource=" + resource)
		wantProblem(t, response, body, 404, wire.NotExist)
		hold(t, "GET", wire.PathWebFinger, nil, answered{response.StatusCode, response.Header, []byte(body)})
		if nobody == "" {
			nobody = body
		}
		if body != nobody || strings.Contains(body, "ann") {
			t.Errorf("%s: got %s, others %s", resource, body, nobody)
		}
	}
	for query, where := range map[string]string{
		"": "resource", "?rel=self": "resource", "?resource=": "resource", "?resource": "resource", "?resource=acct:ann@localhost:1&resource=acct:ann@localhost:1": "resource",
		"?resource=acct:ann%4": "resource", "?resource=%zz": "resource", "?": "", `?resource="`: "", "?resource=a?b": "", "?resource=\xff": "",
	} {
		response, body := asks(query)
		wantProblem(t, response, body, 400, wire.Invalid)
		if where != "" && !strings.Contains(body, `"field":"`+where+`"`) {
			t.Errorf("%q: got %s", query, body)
		}
	}
	for handle, exists := range map[wire.Handle]bool{"ann": true, "bob": false, "admin": false} {
		address := wire.Address{Handle: handle, Node: c.Name}
		looked, _ := r.asks(t, "POST", wire.PathKeys, &token, wire.KeysRequest{Address: address}, nil)
		response, _ := asks("?resource=acct:" + address.String())
		if looked != response.StatusCode || exists != (looked == 200) {
			t.Errorf("%s: a key look-up says %d, WebFinger %d", address, looked, response.StatusCode)
		}
	}
}
