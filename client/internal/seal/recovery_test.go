package seal

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var codeForm = regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-TV-Z]{4}$`)

func drawCode(t *rapid.T) RecoveryCode {
	b := rapid.SliceOfN(rapid.Byte(), codeSize, codeSize).Draw(t, "code")
	return newCode((*[codeSize]byte)(b))
}

// typed are ways in which one code is typed.
func typed(code string) map[string]string {
	plain := strings.ReplaceAll(code, "-", "")
	return map[string]string{
		"as shown": code, "lower case": strings.ToLower(code), "without dashes": plain, "with spaces": strings.ReplaceAll(code, "-", " "),
		"with space around": "  " + code + "\r\n", "on two lines": code[:20] + "\n" + code[20:], "with long dashes": strings.ReplaceAll(code, "-", "\u2013"),
		"O for 0": strings.ReplaceAll(code, "0", "O"), "o for 0": strings.ReplaceAll(code, "0", "o"), "I for 1": strings.ReplaceAll(code, "1", "I"),
		"l for 1": strings.ReplaceAll(code, "1", "l"), "L for 1": strings.ReplaceAll(code, "1", "L"), "dashes elsewhere": plain[:1] + "--" + plain[1:] + "-",
		"no-break spaces": strings.ReplaceAll(code, "-", "\u00a0"),
	}
}

func TestRecoveryCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCode(t)
		shown := c.Reveal()
		if !codeForm.MatchString(shown) {
			t.Fatalf("%q does not look like a code", shown)
		}
		for how, s := range typed(shown) {
			got, err := ParseRecoveryCode(s)
			if err != nil || got.Reveal() != shown {
				t.Fatalf("%s, %q: got %q and error %v", how, s, got.Reveal(), err)
			}
		}
	})
}

func TestRecoveryCodeTypos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := []byte(strings.ReplaceAll(drawCode(t).Reveal(), "-", ""))
		i := rapid.IntRange(0, codeLength-1).Draw(t, "at")
		was := plain[i]
		plain[i] = codeAlphabet[rapid.IntRange(0, 31).Draw(t, "character")]
		// One typing error in 2^20 passes a checksum of 20 bits; rapid will not find it.
		if _, err := ParseRecoveryCode(string(plain)); (err == nil) != (plain[i] == was) {
			t.Fatalf("%q at %d for %q: error %v", plain[i], i, was, err)
		}
	})
}

func TestRecoveryCodeRefused(t *testing.T) {
	code := fixedCode("refused").Reveal()
	plain := strings.ReplaceAll(code, "-", "")
	check := wire.LabelRecoveryCheck.Hash(fixedCode("refused").get()[:])
	for name, s := range map[string]string{
		"more of the checksum": code + string(codeAlphabet[five(check[:], 4)]),
		"nothing":              "", "spaces": "   ", "dashes": "---", "one short": code[:len(code)-1], "one long": code + "0", "twice": code + code,
		"a U": "U" + code[1:], "another letter": "Ä" + code[1:], "full width": "\uff11" + code[1:], "bad UTF-8": "\xff" + code[1:],
		"NUL": code + "\x00", "a point": strings.ReplaceAll(code, "-", "."), "swapped": plain[:2] + plain[3:4] + plain[2:3] + plain[4:],
		"no checksum": plain[:codeData], "very long": strings.Repeat(" ", 300) + code, "all zero": strings.Repeat("0", codeLength),
	} {
		c, err := ParseRecoveryCode(s)
		if err == nil || !c.IsZero() {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantKind(t, wire.Invalid, err)
		for i := 0; i+6 <= len(plain); i++ {
			if strings.Contains(err.Error(), plain[i:i+6]) {
				t.Errorf("%s: the error %q repeats the code", name, err)
			}
		}
	}
}

func TestRecoverySecrets(t *testing.T) {
	c := fixedCode("secrets")
	sign, open, login := c.Secrets()
	wantBytes(t, "recovery seed", sign.Seed(), hkdf1(c.get()[:], "peerbrain/v1/key/recovery-identity"))
	wantBytes(t, "encryption seed", open.Seed(), hkdf1(c.get()[:], "peerbrain/v1/key/recovery-encryption"))
	wantBytes(t, "login seed", login.Seed(), hkdf1(c.get()[:], "peerbrain/v1/key/recovery-login"))
	sign, open, login = RecoveryCode{}.Secrets()
	if !sign.IsZero() || !open.IsZero() || !login.IsZero() || (RecoveryCode{}).Reveal() != "" {
		t.Error("secrets of a code that was never set")
	}
}

// TestRecoveryByCodeAlone loses everything but the sheet of paper, the slots and
// the key statement.
func TestRecoveryByCodeAlone(t *testing.T) {
	code := NewRecoveryCode()
	_, box, _ := code.Secrets()
	vault, self, account := NewVaultKey(), NewSelfKey(), wire.AccountID(bytesOf("account"))
	slot := must(SealRecoverySlot(box.Public(), account, vault))
	sealedSelf := must(SealSelfKey(box.Public(), selfKeyPlace(), self))
	secret := NewEpochSecret()
	epoch := must(SealEpochSecret(self, epochPlace(), secret))
	paper := strings.ToLower(code.Reveal())

	again, err := ParseRecoveryCode(paper)
	if err != nil {
		t.Fatal(err)
	}
	_, box, _ = again.Secrets()
	wantBytes(t, "vault key", must(OpenRecoverySlot(box, account, slot)).Bytes(), vault.Bytes())
	back := must(OpenSelfKey(box, selfKeyPlace(), sealedSelf))
	wantBytes(t, "epoch secret", must(OpenEpochSecret(back, epochPlace(), epoch)).Bytes(), secret.Bytes())
}
