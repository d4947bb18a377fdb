package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A story is the demo's people in the middle of it.
type story struct {
	*stage
	ctx   context.Context
	posts []string // ids, in the order of the texts
	codes []string // recovery codes
}

// texts are what ada writes, and when.
var texts = [...]string{
	"The tulips are out, and nobody but my friends may know.", // before bob is her friend
	"Bob, the key lies under the third flowerpot.",            // while he is
	"I moved the key. Bob need not know where.",               // after
}

// answerText is what bob writes.
const answerText = "Third flowerpot from the left, I hope."

// play tells the story, and returns an error if any of it did not hold.
func play(ctx context.Context, st *stage) error {
	s := &story{stage: st, ctx: ctx}
	for i, step := range []struct {
		title string
		play  func() error
	}{
		{"Two nodes start, each with a store of its own.", s.startNodes},
		{"Ada and carol register on one node, bob and eve on the other.", s.register},
		{"Ada writes something. Nobody is her friend yet.", s.before},
		{"Ada asks bob, who is at the other node, and bob accepts.", s.befriend},
		{"Bob reads what ada wrote before they were friends.", s.past},
		{"Ada writes again, bob reads it and answers.", s.after},
		{"Eve shares a node with bob, carol with ada; they are nobody's friends and read nothing.", s.strangers},
		{"Ada removes bob, and goes on writing.", s.remove},
		{"Ada and carol become friends; carol reads everything from the beginning.", s.carol},
		{"Ada takes a new device: name and password bring everything back.", s.newDevice},
		{"And the nodes? They stored it all and can read none of it.", s.blind},
	} {
		st.say("\n%s", st.styled("1", fmt.Sprintf("%2d. %s", i+1, step.title)))
		if err := step.play(); err != nil {
			return err
		}
	}
	if len(st.failed) > 0 {
		return fmt.Errorf("%d of %d checks failed: %s", len(st.failed), st.checks, strings.Join(st.failed, "; "))
	}
	st.say("\n%s", st.styled("32", fmt.Sprintf("All %d checks held.", st.checks)))
	return nil
}

func address(who string) string {
	if who == "bob" || who == "eve" {
		return who + "@" + demoNodes[1]
	}
	return who + "@" + demoNodes[0]
}

// does types a command that has to succeed.
func (s *story) does(who string, args ...string) (string, error) {
	s.command(who, "peerbrain", args)
	out, err := s.types(s.ctx, who, args...)
	s.answer(out)
	if s.ctx.Err() != nil {
		return "", s.ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s could not do what the story needs: peerbrain %s: %w", who, strings.Join(args, " "), err)
	}
	return out, nil
}

// sees types a command again and again until what it prints is as expected,
// shows it, and checks.
func (s *story) sees(expected func(out string, err error) bool, what, who string, args ...string) error {
	s.command(who, "peerbrain", args)
	deadline := time.Now().Add(newsArrive)
	for {
		out, err := s.types(s.ctx, who, args...)
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		held := expected(out, err)
		if held || time.Now().After(deadline) {
			s.answer(out)
			s.check(held, "%s", what)
			return nil
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(betweenLooks):
		}
	}
}

// with expects success and all of the words.
func with(words ...string) func(string, error) bool {
	return func(out string, err error) bool {
		for _, w := range words {
			if !strings.Contains(out, w) {
				return false
			}
		}
		return err == nil
	}
}

// looks types a command once and returns what it printed: for what must not be
// seen, where waiting would prove nothing.
func (s *story) looks(who string, args ...string) (string, error) {
	s.command(who, "peerbrain", args)
	out, err := s.types(s.ctx, who, args...)
	s.answer(out)
	return out, err
}

// tells whether out holds any of what ada wrote.
func tells(out string) bool {
	for _, text := range texts {
		if strings.Contains(out, text) {
			return true
		}
	}
	return false
}

func (s *story) startNodes() error {
	for _, name := range demoNodes {
		if err := s.startNode(s.ctx, name); err != nil {
			return err
		}
		s.check(true, "%s serves", name)
	}
	return nil
}

var codeLine = regexp.MustCompile(`(?m)^ {4}(\S+)$`)

func (s *story) register() error {
	for _, who := range []string{"ada", "carol", "bob", "eve"} {
		out, err := s.does(who, "register", address(who))
		if err != nil {
			return err
		}
		code := codeLine.FindStringSubmatch(out)
		s.check(code != nil, "%s has an account, and a recovery code for a bad day", who)
		if code != nil {
			s.codes = append(s.codes, code[1])
		}
	}
	return nil
}

var postID = regexp.MustCompile(`\b[a-z2-7]{52}\b`)

// writes posts the next of ada's texts.
func (s *story) writes() error {
	out, err := s.does("ada", "post", texts[len(s.posts)])
	if err != nil {
		return err
	}
	id := postID.FindString(out)
	s.check(id != "", "ada's node has the post on disk")
	s.posts = append(s.posts, id)
	return nil
}

func (s *story) before() error { return s.writes() }

func (s *story) befriend() error {
	if _, err := s.does("ada", "friend", "add", address("bob")); err != nil {
		return err
	}
	if err := s.sees(with(address("ada")), "the question has arrived at bob's node", "bob", "friend", "list"); err != nil {
		return err
	}
	if _, err := s.does("bob", "friend", "accept", address("ada")); err != nil {
		return err
	}
	return s.sees(isFriend("bob"), "both nodes know that they are friends", "ada", "friend", "list")
}

// isFriend expects the list of friends to hold who as a friend.
func isFriend(who string) func(string, error) bool {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(address(who)) + ` +friend`)
	return func(out string, err error) bool { return err == nil && line.MatchString(out) }
}

func (s *story) past() error {
	return s.sees(with(texts[0]), "bob reads what was written before", "bob", "feed")
}

func (s *story) after() error {
	if err := s.writes(); err != nil {
		return err
	}
	if err := s.sees(with(texts[0], texts[1]), "bob reads both", "bob", "read", address("ada")); err != nil {
		return err
	}
	if _, err := s.does("bob", "post", answerText); err != nil {
		return err
	}
	return s.sees(with(answerText, texts[1]), "ada reads bob's answer", "ada", "feed")
}

func (s *story) strangers() error {
	for _, who := range []string{"eve", "carol"} {
		out, err := s.looks(who, "feed")
		s.check(err == nil && !tells(out) && !strings.Contains(out, answerText), "nothing is in %s's feed", who)
		out, err = s.looks(who, "read", address("ada"))
		s.check(err != nil && !tells(out), "ada's posts are closed to %s", who)
		out, err = s.looks(who, "show", s.posts[0])
		s.check(err != nil && !tells(out), "not even with the id of a post does %s get it", who)
	}
	return s.ctx.Err()
}

func (s *story) remove() error {
	if _, err := s.does("ada", "friend", "remove", address("bob")); err != nil {
		return err
	}
	if err := s.writes(); err != nil {
		return err
	}
	last := len(s.posts) - 1
	if err := s.sees(with(texts[last]), "the post is there", "ada", "show", s.posts[last]); err != nil {
		return err
	}
	gone := func(out string, err error) bool { return err == nil && !strings.Contains(out, address("ada")) }
	if err := s.sees(gone, "bob's node has heard of the end", "bob", "friend", "list"); err != nil {
		return err
	}
	for _, args := range [][]string{{"feed"}, {"read", address("ada")}, {"show", s.posts[last]}} {
		out, err := s.looks("bob", args...)
		s.check(!strings.Contains(out, texts[last]) && (args[0] == "feed") == (err == nil), "bob does not read it")
	}
	return s.ctx.Err()
}

func (s *story) carol() error {
	if _, err := s.does("ada", "friend", "add", address("carol")); err != nil {
		return err
	}
	if _, err := s.does("carol", "friend", "accept", address("ada")); err != nil {
		return err
	}
	if err := s.sees(with(texts[:]...), "carol reads all, from before and after bob was removed", "carol", "read", address("ada")); err != nil {
		return err
	}
	return s.sees(with(texts[len(texts)-1]), "the post that bob cannot have, too", "carol", "show", s.posts[len(s.posts)-1])
}

func (s *story) newDevice() error {
	const device = "ada-new"
	if _, err := s.does(device, "login", address("ada"), "--device", "new"); err != nil {
		return err
	}
	if err := s.sees(with(texts[:]...), "ada's posts are there", device, "feed"); err != nil {
		return err
	}
	return s.sees(isFriend("carol"), "and her friends", device, "friend", "list")
}

// blind looks for words, passwords and recovery codes in every file of the
// nodes. That the search finds something at all is shown with a name.
func (s *story) blind() error {
	words := append(append([]string{answerText}, texts[:]...), s.codes...)
	for _, who := range []string{"ada", "bob", "carol", "eve"} {
		words = append(words, password(who))
	}
	for _, c := range s.children {
		found, names, size := []string{}, false, 0
		err := filepath.WalkDir(c.data, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			size += len(content)
			names = names || bytes.Contains(content, []byte("ada")) || bytes.Contains(content, []byte("bob"))
			for _, w := range words {
				if bytes.Contains(content, []byte(w)) {
					found = append(found, "; but: "+w)
				}
			}
			return nil
		})
		if err != nil {
			return errors.Join(errors.New("cannot read the files of "+c.name), err)
		}
		s.say("  (every file below %s is searched)", c.data)
		s.check(names && len(found) == 0, "%s: its %d KiB hold no text of a post, no password and no recovery code%s",
			c.name, size/1024, strings.Join(found, ""))
	}
	return nil
}
