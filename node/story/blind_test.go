package story_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// TestBlind tells the story and then looks for what no node may know in every
// file that the nodes have written, their logs included: the words of posts,
// passwords, recovery codes, and the keys and tokens that the people's own
// devices hold.
func TestBlind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secrets := map[string][]byte{
		"first": []byte(firstText), "second": []byte(secondText), "third": []byte(thirdText), "reply": []byte(replyText),
	}
	for _, a := range acts {
		if a.words[0] == "register" {
			w.registers(a.who, secrets)
		} else if err := w.play(a); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range []string{"ada", "ada-2", "bob", "carol", "eve"} {
		w.deviceSecrets(who, secrets)
	}
	for _, s := range []*server{w.left, w.right} {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		files := w.files(s.data)
		files[s.log] = w.contents(s.log)
		if known := find(files, []byte("ada")); len(known) == 0 {
			t.Errorf("%s: ada is not found in any of %d files, so nothing else can be", s.name, len(files))
		}
		for what, secret := range secrets {
			if len(secret) < 8 {
				t.Errorf("secret %q has %d bytes, too few to look for", what, len(secret))
			}
			if where := find(files, secret); len(where) > 0 {
				t.Errorf("%s knows %s: it is in %q", s.name, what, where)
			}
		}
	}
}

// registers makes an account and remembers its password and recovery code.
func (w *world) registers(who string, secrets map[string][]byte) {
	w.Helper()
	out, errs, err := w.types(who, "register", w.address(who), "--json")
	var reply struct {
		Code string `json:"recovery_code"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &reply)
	}
	if err != nil || reply.Code == "" {
		w.Fatalf("%s registers: %v, %s%s", who, err, out, errs)
	}
	secrets["password of "+who] = []byte(password(who))
	secrets["recovery code of "+who] = []byte(reply.Code)
	secrets["recovery code without hyphens of "+who] = []byte(strings.ReplaceAll(reply.Code, "-", ""))
}

// deviceSecrets remembers all byte strings of the session that lies at a home,
// and its token; addresses and ids in it are no secrets.
func (w *world) deviceSecrets(who string, secrets map[string][]byte) {
	w.Helper()
	var session struct {
		Token    string `cbor:"2,keyasint"`
		VaultKey []byte `cbor:"6,keyasint"`
		CacheKey []byte `cbor:"7,keyasint"`
	}
	if err := cbor.Unmarshal(w.contents(filepath.Join(w.home(who), "session")), &session); err != nil {
		w.Fatalf("session of %s: %v", who, err)
	}
	token, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(session.Token))
	if err != nil {
		w.Fatalf("token of %s: %v", who, err)
	}
	secrets["token of "+who], secrets["vault key of "+who], secrets["cache key of "+who] = token, session.VaultKey, session.CacheKey
}

func (w *world) contents(path string) []byte {
	w.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// files reads all files below dir.
func (w *world) files(dir string) map[string][]byte {
	w.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[path] = w.contents(path)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return files
}

// find names the files that hold secret as it is or in one of the usual
// spellings of bytes.
func find(files map[string][]byte, secret []byte) (where []string) {
	spellings := spell(secret)
	for path, content := range files {
		for _, s := range spellings {
			if bytes.Contains(content, s) {
				where = append(where, path)
				break
			}
		}
	}
	return where
}

// spell writes secret in hexadecimal, base32 and base64, wherever it stands in
// a longer text: the characters at its edges, which depend on what is beside
// it, are left out.
func spell(secret []byte) [][]byte {
	spellings := [][]byte{secret, []byte(hex.EncodeToString(secret)), bytes.ToUpper([]byte(hex.EncodeToString(secret)))}
	within := func(encode func([]byte) string, group, bits int) {
		for before := range group {
			text := encode(append(make([]byte, before), secret...))
			from := (before*8 + bits - 1) / bits
			to := (before + len(secret)) * 8 / bits
			spellings = append(spellings, []byte(text[from:to]))
		}
	}
	within(base64.RawStdEncoding.EncodeToString, 3, 6)
	within(base64.RawURLEncoding.EncodeToString, 3, 6)
	within(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString, 5, 5)
	within(func(b []byte) string {
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	}, 5, 5)
	return spellings
}

// TestFind shows that a secret is found however it is written.
func TestFind(t *testing.T) {
	secret := []byte("canary one: tulips?>")
	for before := range 6 {
		for after := range 4 {
			text := bytes.Join([][]byte{bytes.Repeat([]byte("x"), before), secret, bytes.Repeat([]byte("y"), after)}, nil)
			for name, written := range map[string]string{
				"as it is": string(text), "hex": hex.EncodeToString(text), "HEX": strings.ToUpper(hex.EncodeToString(text)),
				"base64": base64.StdEncoding.EncodeToString(text), "base64url": base64.RawURLEncoding.EncodeToString(text),
				"base32": base32.StdEncoding.EncodeToString(text), "lower base32": strings.ToLower(base32.StdEncoding.EncodeToString(text)),
			} {
				if got := find(map[string][]byte{"file": []byte("{" + written + "}")}, secret); len(got) != 1 {
					t.Errorf("%s with %d before and %d after: not found", name, before, after)
				}
				if got := find(map[string][]byte{"file": []byte(written)}, []byte("another secret")); len(got) != 0 {
					t.Errorf("%s: found what is not there", name)
				}
			}
		}
	}
}
