package wire

import (
	"strings"
	"testing"
)

// TestTOTP has the vectors of RFC 6238, appendix B, for SHA-1. Those have eight digits:
// the last six are the code.
func TestTOTP(t *testing.T) {
	secret, err := TOTPSecretFromBytes([]byte("12345678901234567890"))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[uint64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := secret.Code(at / TOTPStep).Reveal(); got != want[2:] {
			t.Errorf("at %d: got %s, want %s", at, got, want[2:])
		}
	}
	if got := secret.Reveal(); got != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Errorf("the secret is written %s", got)
	}
	for _, size := range []int{0, 19, 21, 32} {
		_, err := TOTPSecretFromBytes(make([]byte, size))
		wantKind(t, "a secret of another size", err, Invalid)
	}
}

// TestFactorCodes reads codes and secrets in their one spelling, and in others.
func TestFactorCodes(t *testing.T) {
	backup := NewBackupCode(seedOf("backup"))
	for _, good := range []string{"000000", "287082", backup.Reveal(), strings.Repeat("Z", 16)} {
		c, err := ParseFactorCode(good)
		if err != nil || c.Reveal() != good || c.IsBackup() != (len(good) == 16) || c.IsZero() {
			t.Errorf("%s: %v", good, err)
		}
	}
	if (FactorCode{}).Reveal() != "" || !(FactorCode{}).IsZero() || (FactorCode{}).IsBackup() {
		t.Error("no code is one")
	}
	for _, bad := range []string{
		"", "12345", "1234567", "12345a", "１２３４５６", " 12345", "-12345", "12345\n", strings.Repeat("Z", 15), strings.Repeat("Z", 17), strings.ToLower(backup.Reveal()),
		strings.Repeat("Z", 15) + "I", strings.Repeat("Z", 15) + "L", strings.Repeat("Z", 15) + "O", strings.Repeat("Z", 15) + "U", strings.Repeat("Z", 12) + "-ZZZ",
	} {
		_, err := ParseFactorCode(bad)
		wantKind(t, bad, err, Invalid)
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats %q: %v", bad, err)
		}
	}
	one, other := AccountID(seedOf("one")), AccountID(seedOf("other"))
	if backup.Hash(one) != LabelBackupCode.Hash(one[:], []byte(backup.Reveal())) || backup.Hash(one) == backup.Hash(other) {
		t.Error("the hash of a code is another one")
	}
	if NewBackupCode(seedOf("backup")).Reveal() != backup.Reveal() || NewBackupCode(seedOf("x")).Reveal() == backup.Reveal() {
		t.Error("codes do not follow from their bytes")
	}
	var secret TOTPSecret
	for _, bad := range []string{"", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "GEZDGNBVGY3TQOJQ\nGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGE======"} {
		wantKind(t, bad, secret.UnmarshalText([]byte(bad)), Invalid)
	}
	r := SecondFactorRequest{Kind: FactorTOTP, Secret: NewTOTPSecret(seedOf("secret")), Code: backup, Backup: []Hash{backup.Hash(one)}}
	var read SecondFactorRequest
	if err := DecodeJSON(EncodeJSON(r), &read); err != nil || string(EncodeJSON(read)) != string(EncodeJSON(r)) {
		t.Errorf("%s does not come back: %v", EncodeJSON(r), err)
	}
}
