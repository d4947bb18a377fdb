package story_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What is written in the story. No node may ever see these words.
const (
	firstText  = "canary one: tulips before"
	secondText = "canary two: roses during"
	thirdText  = "canary three: lilies after"
	replyText  = "canary four: thank you"
)

// An act is one command of a story, and what comes of it. NAME@ in its words
// stands for that person's address, and so does the name of a device (ada-2)
// for who types.
type act struct {
	who   string
	words []string
	want  string // pattern that standard output has to hold in the end
	lacks string // pattern that it must not hold in the end
	never string // and one that it must not hold at any time
	fails bool   // the command has to fail in the end, with an empty standard output
}

// acts is the story of the demo: a friendship across two nodes, its end, and
// another one within a node.
var acts = []act{
	{who: "ada", words: []string{"register", "ada@"}},
	{who: "carol", words: []string{"register", "carol@"}},
	{who: "bob", words: []string{"register", "bob@"}},
	{who: "eve", words: []string{"register", "eve@"}},
	{who: "ada", words: []string{"post", firstText}},
	{who: "ada", words: []string{"friend", "add", "bob@"}},
	{who: "bob", words: []string{"friend", "list"}, want: `^ada@\S+ +asks you`, never: "friend, keys"},
	{who: "bob", words: []string{"friend", "accept", "ada@"}},
	{who: "bob", words: []string{"read", "ada@"}, want: firstText},
	{who: "ada", words: []string{"friend", "list"}, want: `^bob@\S+ +friend, keys pinned$`},
	{who: "ada", words: []string{"post", secondText}},
	{who: "bob", words: []string{"feed"}, want: secondText},
	{who: "bob", words: []string{"post", replyText}},
	{who: "ada", words: []string{"feed"}, want: replyText},
	{who: "eve", words: []string{"feed"}, never: "canary"},
	{who: "eve", words: []string{"read", "ada@"}, fails: true, never: "canary"},
	{who: "carol", words: []string{"read", "ada@"}, fails: true, never: "canary"},
	{who: "ada", words: []string{"friend", "remove", "bob@"}},
	{who: "ada", words: []string{"post", thirdText}},
	{who: "bob", words: []string{"feed"}, never: thirdText},
	{who: "bob", words: []string{"friend", "list"}, lacks: "ada@"},
	{who: "bob", words: []string{"read", "ada@"}, fails: true, never: thirdText},
	{who: "ada", words: []string{"friend", "add", "carol@"}},
	{who: "carol", words: []string{"friend", "accept", "ada@"}},
	{who: "carol", words: []string{"read", "ada@"}, want: thirdText},
	{who: "ada-2", words: []string{"login", "ada@"}},
	{who: "ada-2", words: []string{"friend", "list"}, want: `^carol@\S+ +friend, keys pinned$`},
}

// play types a command until it comes out as wanted. A command that failed is
// simply typed again, as its hints say.
func (w *world) play(a act) error {
	words := slices.Clone(a.words)
	for i, word := range words {
		if name, ok := strings.CutSuffix(word, "@"); ok {
			words[i] = w.address(name)
		}
	}
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		out, errs, err := w.types(a.who, words...)
		switch {
		case a.never != "" && regexp.MustCompile("(?m)"+a.never).MatchString(out):
			return fmt.Errorf("%s: peerbrain %q printed what it never may: %s", a.who, words, out)
		case a.done(out, err):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s: peerbrain %q: got %v, %s%s", a.who, words, err, out, errs)
		}
	}
}

func (a act) done(out string, err error) bool {
	if a.fails {
		return err != nil && out == ""
	}
	return err == nil && regexp.MustCompile("(?m)"+a.want).MatchString(out) &&
		(a.lacks == "" || !regexp.MustCompile("(?m)"+a.lacks).MatchString(out))
}

// curtain checks what has to hold after the story, however it went: each post
// is there once, in order, for those who may read it and for nobody else.
func (w *world) curtain() {
	w.Helper()
	for _, test := range []struct {
		reader, author string
		want           []string
	}{
		{"ada", "ada", []string{thirdText, secondText, firstText}},
		{"ada-2", "ada", []string{thirdText, secondText, firstText}},
		{"carol", "ada", []string{thirdText, secondText, firstText}},
		{"bob", "bob", []string{replyText}},
		{"bob", "ada", nil},
		{"eve", "ada", nil},
		{"eve", "bob", nil},
		{"carol", "bob", nil},
		{"ada", "bob", nil},
	} {
		out, errs, err := w.types(test.reader, "read", w.address(test.author), "--json")
		if (err == nil) != (test.want != nil) {
			w.Errorf("%s reads %s: got %v %s", test.reader, test.author, err, errs)
		}
		var got []string
		for line := range strings.Lines(out) {
			var post struct{ Text string }
			if err := json.Unmarshal([]byte(line), &post); err != nil {
				w.Errorf("%s reads %s: %v in %q", test.reader, test.author, err, line)
			}
			got = append(got, post.Text)
		}
		if !slices.Equal(got, test.want) {
			w.Errorf("%s reads %s: got %q, want %q", test.reader, test.author, got, test.want)
		}
	}
}
