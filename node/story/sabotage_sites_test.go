package story_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// A site is a condition, or the part of one between two ||, on which a function
// refuses, or a check as the last call of one.
type site struct {
	at   span
	name string
	text string // what stands in its place when it is removed
}

// What a site is, in words: in the packages and files below, an if, or a case of
// a switch without a tag, that
//   - returns an error which it makes there and which blames the input (blames),
//   - or passes on the error of a function that verifies, by its name (verifier);
//
// and a return of what a function that checks returns. Not seen: refusals by a
// bool or by leaving something out, conditions split over several ifs, numbers
// that are too generous, and checks that were never written. Those that matter
// are in the lists by hand.
var (
	verifying = []string{"federation", "federation/wire", "keyservice", "client/internal/seal", "client", "node"}
	// Files that serve the operator, the network below or the disk.
	otherFiles = []string{
		"federation/failure.go", "client/database_js.go", "client/folder.go", "client/folder_unix.go", "client/folder_windows.go",
		"node/acme.go", "node/admin.go", "node/config.go", "node/configfile.go", "node/flight.go", "node/listen.go", "node/node.go", "node/rule.go", "node/rulefile.go", "node/run.go", "node/stores.go", "node/tls.go", "node/tlsconfig.go",
	}
	// Functions that make something out of what the caller has.
	makers = regexp.MustCompile(`^(Sign|sign|Seal|seal|boxSeal|New|Make|pad$|Encode$)`)

	blames = regexp.MustCompile(`Errorf\((wire\.)?(Tampered|Invalid|Unauthenticated|Forbidden|Conflict|Update|TooLarge|Clock|Throttled|Limit|Media|Method|Exist|NotExist)\b` +
		`|\bwire\.(NotExist|Unauthenticated)\b|errors\.New\(|fmt\.Errorf\(|Throttled` +
		`|\berr(Tampered|Seal|Unset|Replayed|Address|Paused|Budget|Ended|NoAccess|KeysChanged|Settled)\b` +
		`|\b(bad|unauthenticated|throttled|malformed|forged|noSuchPerson|noStream|notFriend|noOffer|taken|rolledBack)\(` +
		`|\.(tampered|missing)\(|^(none|wrong|ErrNoSession)$`)
	// An error in other words is no refusal.
	reworded = regexp.MustCompile(`%w|%v", err|: %v"|Errorf\((wire\.)?(Internal|Unavailable)`)
	passesOn = regexp.MustCompile(`^err$|\((err|.*reason\(err\))\)$`)
	verifier = regexp.MustCompile(`\b(check\w*|Check\w*|verify\w*|Verify\w*|[Oo]pen[A-Z]\w*|open|boxOpen|[Pp]arse[A-Z0-9]\w*|Next|next|Follows|Extends|ahead|hasKey|admit|admits` +
		`|matches|connect|step|pinned|unlock|read(Claim|Fields|Signature|KeyID|Body)|take|spend|token|UnmarshalText|Decode\w+|decode\w*|secretFrom|\w+FromBytes|unpad|answers|Add(Offer|Accept|End)|mayBegin)(\[[^\]]*\])?\(`)
	lastCall = regexp.MustCompile(`^\S*\b(check\w*|Check\w*|ahead|Add(Offer|Accept|End))\(`)
)

func verifies(f houseFile) bool {
	return !f.isTest() && slices.Contains(verifying, f.folder()) && !slices.Contains(otherFiles, f.path)
}

// sites finds the sites of a file.
func sites(f houseFile) (all []site) {
	for _, decl := range f.tree.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil && !makers.MatchString(fn.Name.Name) {
			s := siteFinder{f: f, function: fn.Name.Name}
			ast.Walk(&s, fn.Body)
			all = append(all, s.found...)
		}
	}
	return all
}

// A siteFinder walks one function.
type siteFinder struct {
	f        houseFile
	function string
	before   map[ast.Stmt]ast.Stmt
	found    []site
}

func (s *siteFinder) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.BlockStmt:
		s.remember(n.List)
	case *ast.CaseClause:
		s.remember(n.Body)
	case *ast.IfStmt:
		if why, ok := s.refuses(n.Body.List); ok && s.isSite(n, &why) {
			s.add(why, n.Cond)
		}
	case *ast.SwitchStmt:
		for _, c := range n.Body.List {
			clause := c.(*ast.CaseClause)
			why, ok := s.refuses(clause.Body)
			if n.Tag == nil && ok && len(clause.List) > 0 && !passesOn.MatchString(why) && !reworded.MatchString(why) {
				s.add(why, clause.List...)
			}
		}
	case *ast.ReturnStmt:
		if len(n.Results) > 0 {
			last := n.Results[len(n.Results)-1]
			if _, ok := last.(*ast.CallExpr); ok {
				if m := lastCall.FindStringSubmatch(s.text(last)); m != nil {
					s.found = append(s.found, site{s.span(last), s.function + ": without " + m[1], noError})
				}
			}
		}
	}
	return s
}

func (s *siteFinder) remember(list []ast.Stmt) {
	for i := 1; i < len(list); i++ {
		if s.before == nil {
			s.before = map[ast.Stmt]ast.Stmt{}
		}
		s.before[list[i]] = list[i-1]
	}
}

// refuses returns the error that a body ends with, or sets.
func (s *siteFinder) refuses(body []ast.Stmt) (string, bool) {
	for _, stmt := range body {
		var last ast.Expr
		switch stmt := stmt.(type) {
		case *ast.ReturnStmt:
			if len(stmt.Results) > 0 {
				last = stmt.Results[len(stmt.Results)-1]
			}
		case *ast.AssignStmt:
			last = stmt.Rhs[0]
			if !blames.MatchString(s.text(last)) {
				last = nil
			}
		}
		if last == nil {
			continue
		}
		if why := s.text(last); blames.MatchString(why) || passesOn.MatchString(why) {
			return why, true
		}
	}
	return "", false
}

// isSite decides about an if that refuses, and names the verifier whose error is
// passed on.
func (s *siteFinder) isSite(n *ast.IfStmt, why *string) bool {
	head := ""
	if n.Init != nil {
		head = s.text(n.Init)
	}
	head += s.text(n.Cond)
	if strings.Contains(s.text(n.Cond), "err") && n.Init == nil && s.before[n] != nil {
		head = s.text(s.before[n]) + head
	}
	m := verifier.FindStringSubmatch(head)
	if passesOn.MatchString(*why) || m != nil && strings.Contains(s.text(n.Cond), "err") {
		if m != nil {
			*why = `"without ` + m[1] + `"`
		}
		return m != nil
	}
	return m != nil || !reworded.MatchString(*why)
}

// add takes conditions apart.
func (s *siteFinder) add(why string, conditions ...ast.Expr) {
	var parts []ast.Expr
	for _, c := range conditions {
		parts = append(parts, operands(c)...)
	}
	name := s.function + ": " + oneLine(lastWords(why))
	for _, p := range parts {
		at := name
		if len(parts) > 1 {
			at += " <" + oneLine(s.text(p)) + ">"
		}
		s.found = append(s.found, site{s.span(p), at, never + s.text(p) + ")"})
	}
}

// operands returns the parts of a condition between || at any depth of && and
// brackets; the whole if there is none.
func operands(e ast.Expr) (parts []ast.Expr) {
	switch b := e.(type) {
	case *ast.ParenExpr:
		if inner := operands(b.X); len(inner) > 1 {
			return inner
		}
	case *ast.BinaryExpr:
		left, right := operands(b.X), operands(b.Y)
		if b.Op == token.LOR {
			return append(left, right...)
		}
		if b.Op == token.LAND && len(left)+len(right) > 2 {
			for _, side := range [][]ast.Expr{left, right} {
				if len(side) > 1 {
					parts = append(parts, side...)
				}
			}
			return parts
		}
	}
	return []ast.Expr{e}
}

var quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

// lastWords returns what an error says.
func lastWords(why string) string {
	all := quoted.FindAllStringSubmatch(why, -1)
	for _, m := range slices.Backward(all) {
		if m[1] != "" {
			return m[1]
		}
	}
	return why
}

func oneLine(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), " | ", " or ")
	return s[:min(len(s), 100)]
}

func (s *siteFinder) span(n ast.Node) span {
	return span{s.f.fset.Position(n.Pos()).Offset, s.f.fset.Position(n.End()).Offset}
}

func (s *siteFinder) text(n ast.Node) string {
	at := s.span(n)
	return string(s.f.text[at.from:at.to])
}

// removal writes s as it would stand in a list. Lines around it are taken in
// until they occur once.
func (s site) removal(f houseFile) string {
	text := string(f.text)
	from, to := strings.LastIndexByte(text[:s.at.from], '\n')+1, s.at.to+strings.IndexByte(text[s.at.to:], '\n')+1
	for below := true; strings.Count(text, text[from:to]) > 1; below = !below {
		if below {
			to += strings.IndexByte(text[to:], '\n') + 1
		} else {
			from = strings.LastIndexByte(text[:from-1], '\n') + 1
		}
	}
	lines := func(mark, s string) string {
		return mark + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n"+mark) + "\n"
	}
	return fmt.Sprintf("@@ %s | ./%s TestX | %s\n", f.path, f.folder(), s.name) +
		lines("-", text[from:to]) + lines("+", text[from:s.at.from]+s.text+text[s.at.to:to])
}
