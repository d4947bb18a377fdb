package story_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A phone is what somebody has who turned the second factor on.
type phone struct {
	uri    string
	secret wire.TOTPSecret
	backup []string
}

var (
	inURI    = regexp.MustCompile(`secret=([A-Z2-7]{32})&`)
	inBackup = regexp.MustCompile(`[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}`)
)

// codeAt is what it shows at a time.
func (p *phone) codeAt(at time.Time) string {
	return p.secret.Code(uint64(at.Unix()) / wire.TOTPStep).Reveal()
}

// turnsOn types "second-factor on" at a home, reads what an app scans, and types its
// first code.
func (w *world) turnsOn(who string) (p *phone, stderr string, err error) {
	return turnsOn(w.bin, w.home(who))
}

func turnsOn(bin, home string) (p *phone, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), newsArrive)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "peerbrain"), "second-factor", "on", "--code-file", "-")
	cmd.Env = append(bare(), "PEERBRAIN_HOME="+home)
	var errs strings.Builder
	cmd.Stderr = &errs
	in, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	must(0, cmd.Start())
	p = new(phone)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if found := inURI.FindStringSubmatch(line); found != nil {
			p.uri = strings.TrimSpace(line)
			must(0, p.secret.UnmarshalText([]byte(found[1])))
			must(fmt.Fprintln(in, p.codeAt(time.Now())))
			must(0, in.Close())
			continue
		}
		p.backup = append(p.backup, inBackup.FindAllString(line, -1)...)
	}
	err = cmd.Wait()
	return p, errs.String(), err
}

// factorOf is what the SDK has for the commands of the second factor.
func factorOf(ctx context.Context, p *client.Person, words []string, backup *wire.FactorCode) error {
	turnOn := func() error {
		a := p.NewAuthenticator()
		var secret wire.TOTPSecret
		if err := secret.UnmarshalText([]byte(a.Secret())); err != nil {
			return err
		}
		codes, err := p.TurnOnSecondFactor(ctx, a, secret.Code(uint64(time.Now().Unix())/wire.TOTPStep))
		if err != nil {
			return err
		}
		*backup, err = client.ParseFactorCode([]byte(codes.Reveal()[0]))
		return err
	}
	switch words[len(words)-1] {
	case "on":
		return turnOn()
	case "off":
		return p.TurnOffSecondFactor(ctx)
	case "codes":
		if err := turnOn(); err != nil {
			return err
		}
		_, err := p.NewBackupCodes(ctx)
		return err
	}
	_, err := p.SecondFactor(ctx)
	return err
}

// TestSecondFactorStory has ada turn the second factor on, and somebody who knows her
// password stay outside. Codes work once, also after the node was killed, and neither
// they nor the secret are in logs, on the device or in what is printed.
func TestSecondFactorStory(t *testing.T) {
	undetected(t)
	t.Parallel()
	w := newWorld(t, func(s *server) error {
		s.flags = append(s.flags, "--log-level", "debug")
		return nil
	})
	var printed strings.Builder
	tries := func(who, code string, args ...string) (string, error) {
		t.Helper()
		w.env = nil
		if code != "" {
			w.env = []string{"PEERBRAIN_CODE=" + code}
		}
		out, errs, err := w.types(who, args...)
		printed.WriteString(out + errs)
		return out + errs, err
	}
	works := func(who, code string, args ...string) string {
		t.Helper()
		out, err := tries(who, code, args...)
		if err != nil {
			t.Fatalf("%s types %q: %v, %s", who, args, err, out)
		}
		return out
	}
	fails := func(why, who, code string, args ...string) {
		t.Helper()
		if out, err := tries(who, code, args...); err == nil || !strings.Contains(out, why) || !strings.Contains(out, "\nhint: ") {
			t.Fatalf("%s types %q: %v, %s, want %q", who, args, err, out, why)
		}
	}
	const needed, used, wrong = "a code of your second factor is needed", "the code is wrong, or was used before", "name or password is wrong"
	ada := w.address("ada")
	sheet := filepath.Join(w.dir, "sheet")
	must(0, os.WriteFile(sheet, []byte(changes.FindString(works("ada", "", "register", ada))), 0o600))
	works("ada", "", "post", "hello")
	works("ada-2", "", "login", ada)
	if out := works("ada", "", "second-factor"); !strings.Contains(out, "is off") {
		t.Errorf("before: %s", out)
	}
	p, errs, err := w.turnsOn("ada")
	if err != nil || len(p.backup) != wire.BackupCodes || !strings.HasPrefix(p.uri, "otpauth://totp/PeerBrain:"+ada+"?secret=") {
		t.Fatalf("%v, %s, %q and %d codes", err, errs, p.uri, len(p.backup))
	}
	printed.WriteString(errs)
	spares := slices.Clone(p.backup)
	spare := func() (code string) {
		code, spares = spares[0], spares[1:]
		return code
	}

	fails(needed, "ada-thief", "", "login", ada)
	fails(used, "ada-thief", "0000-0000-0000-0000", "login", ada)
	fails("this is no code", "ada-thief", "12345", "login", ada)
	w.anew = map[string]bool{"ada": true} // another password
	fails(wrong, "ada-thief", "", "login", ada)
	fails(wrong, "ada-thief", spares[0], "login", ada)
	w.anew = nil
	first := spare()
	works("ada-3", strings.ToLower(first), "login", ada)
	fails(used, "ada-thief", first, "login", ada)
	next := p.codeAt(time.Now().Add(wire.TOTPStep * time.Second)) // later than the first one, whenever that was
	works("ada-4", next, "login", ada)
	must(0, w.left.kill())
	must(0, w.left.start())
	fails(used, "ada-thief", first, "login", ada)
	fails(used, "ada-thief", next, "login", ada)

	// What changes the account.
	fails(needed, "ada-2", "", "passwd")
	fails(needed, "ada-2", "", "sessions", "end", "--others")
	fails(needed, "ada-2", "", "second-factor", "codes")
	fails(needed, "ada-2", "", "second-factor", "off")
	fails("is on already", "ada-2", "", "second-factor", "on")
	id := regexp.MustCompile(`(?m)^([a-z2-7]{10}) .*this device$`).FindStringSubmatch(works("ada-4", "", "sessions"))
	fails(needed, "ada-2", "", "sessions", "end", id[1])
	works("ada-2", spare(), "sessions", "end", id[1])
	works("ada-2", "", "post", "none is needed for this")
	works("ada-2", spare(), "passwd")
	w.anew = map[string]bool{"ada": true}
	fails("has ended", "ada", "", "feed")
	works("ada", spare(), "login", ada)
	works("ada-2", spare(), "sessions", "end", "--others")
	fails("has ended", "ada", "", "feed")
	if out := works("ada-2", "", "second-factor", "--json"); out != fmt.Sprintf("{\"on\":true,\"backup_codes_left\":%d}\n", len(spares)) {
		t.Errorf("with %d codes left: %s", len(spares), out)
	}
	last := spare()
	shown := works("ada-2", last, "second-factor", "codes")
	printed.Reset() // where the new ones are
	fails(used, "ada-2", spare(), "second-factor", "off")
	fresh := inBackup.FindAllString(shown, -1)
	w.quiet(append(p.backup, fresh...), p, printed.String())
	works("ada-2", fresh[0], "second-factor", "off")
	works("ada", "", "login", ada)

	// A lost phone.
	p, _, err = w.turnsOn("ada")
	must(0, err)
	fails(needed, "ada-5", "", "login", ada)
	out := works("ada-5", "", "recover", ada, "--recovery-code-file", sheet)
	if !strings.Contains(out, "There is no second factor") {
		t.Errorf("recover prints %s", out)
	}
	w.anew = map[string]bool{"ada": true}
	works("ada-6", "", "login", ada)
	w.quiet(p.backup, p, printed.String())
}

// quiet looks for codes and a secret where they have no business: in logs, on devices,
// in what was printed, and the codes in what the node has stored.
func (w *world) quiet(codes []string, p *phone, printed string) {
	w.Helper()
	secret := p.secret.Bytes()
	words := []string{p.secret.Reveal(), string(secret), hex.EncodeToString(secret), base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)}
	for _, code := range codes {
		words = append(words, code, strings.ReplaceAll(code, "-", ""))
	}
	look := func(where string, text []byte) {
		for i, word := range words {
			stored := strings.HasPrefix(filepath.Base(where), "own.db") && i == 1 // the node has to know the secret
			if !stored && bytes.Contains(text, []byte(word)) {
				w.Errorf("%s holds a secret or a code (%d)", where, i)
			}
		}
	}
	look("what was printed", []byte(printed))
	must(0, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			look(path, must(os.ReadFile(path)))
		}
		return err
	}))
	if log := must(os.ReadFile(w.left.log)); !bytes.Contains(log, []byte("/v1/second-factor")) {
		w.Error("the log does not say much")
	}
}
