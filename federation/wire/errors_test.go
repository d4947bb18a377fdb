package wire

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"
)

// statuses is the table of the specification.
var statuses = map[Kind]int{
	Invalid: 400, Unauthenticated: 401, SecondFactor: 403, Forbidden: 403, NotExist: 404, Method: 405, Exist: 409, Conflict: 409, Clock: 409, TooLarge: 413,
	Media: 415, Update: 426, Throttled: 429, Limit: 429, Internal: 500, Tampered: 500, Unavailable: 503,
}

func TestEveryKindHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && fmt.Sprint(spec.Type) == "Kind" {
			n += len(spec.Values)
		}
		return true
	})
	if n != len(statuses) {
		t.Errorf("errors.go declares %d kinds, the table has %d", n, len(statuses))
	}
	for k, want := range statuses {
		if got := k.Status(); got != want {
			t.Errorf("%s has status %d, want %d", k, got, want)
		}
	}
	if Kind("made up").Status() != 500 {
		t.Error("an unknown kind has a status of its own")
	}
}

// A kind is the same on both sides of a request.
func TestErrorsTravel(t *testing.T) {
	for k := range statuses {
		err := fmt.Errorf("publishing: %w", &Error{Kind: k, Field: "field", Detail: "detail", RetryAfter: 1500 * time.Millisecond})
		p := ProblemOf(err)
		want := k
		if k == Tampered { // readers alone say so
			want = Invalid
		}
		if p.Code != want || p.Status != want.Status() || p.Type != "about:blank" || p.Title == "" || strings.Contains(p.Title, "_") {
			t.Errorf("%s: problem %+v", k, p)
		}
		var read Problem
		if err := DecodeJSON(EncodeJSON(p), &read); err != nil || read != p {
			t.Errorf("%s: got %+v, %v", k, read, err)
		}
		back := read.Err()
		if !errors.Is(back, want) || KindOf(back) != want {
			t.Errorf("%s came back as %v", k, back.Kind)
		}
		quiet := k == Internal || k == Unauthenticated
		if quiet != (back.Field == "" && back.Detail == "" && back.RetryAfter == 0) {
			t.Errorf("%s: field %q, detail %q, retry %s", k, back.Field, back.Detail, back.RetryAfter)
		}
		if !quiet && back.RetryAfter != 2*time.Second {
			t.Errorf("%s: retry after %s", k, back.RetryAfter)
		}
	}
}

func TestUnknownErrors(t *testing.T) {
	secret := errors.New("disk /var/lib/secret")
	p := ProblemOf(secret)
	if p.Code != Internal || p.Status != 500 || p.Detail != "" || p.Field != "" || p.Title != "internal error" {
		t.Errorf("an unknown error tells %+v", p)
	}
	if KindOf(NotExist) != NotExist || KindOf(fmt.Errorf("x: %w", NotExist)) != NotExist || KindOf(nil) != Internal {
		t.Error("KindOf is wrong")
	}
	for _, code := range []Kind{"", "made up", Internal, Tampered} {
		if got := (Problem{Code: code, Status: 404}).Err().Kind; got != Internal {
			t.Errorf("code %q becomes %s", code, got)
		}
	}
	if errors.Is(Errorf(Invalid, "", ""), NotExist) || !errors.Is(Errorf(Invalid, "", ""), Invalid) {
		t.Error("Is is wrong")
	}
}

// What a hostile node says can be shown on a terminal.
func TestProblemOfAHostileNode(t *testing.T) {
	err := Problem{
		Code: Throttled, Field: "a\x1b[2J\nb", Detail: "\u202e\u2066\x00\a\u009b" + strings.Repeat("é", 10_000), Retry: 1 << 62,
	}.Err()
	if err.Field != "a?[2J?b" || !strings.HasPrefix(err.Detail, "?????é") || len([]rune(err.Detail)) != 400 {
		t.Errorf("field %q, detail %.40q of %d characters", err.Field, err.Detail, len([]rune(err.Detail)))
	}
	if err.RetryAfter != 24*time.Hour {
		t.Errorf("retry after %s", err.RetryAfter)
	}
	if got := (Problem{Code: Throttled, Retry: -5}).Err().RetryAfter; got != 0 {
		t.Errorf("retry after %s", got)
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{Errorf(Invalid, "handle", "%q is none", "X"), `handle: "X" is none`},
		{Errorf(Invalid, "", "detail"), "detail"},
		{Errorf(Invalid, "handle", ""), "handle: invalid"},
		{Errorf(NotExist, "", ""), "not_exist"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if NotExist.Error() != "not_exist" {
		t.Error("a kind has another name as an error")
	}
}
