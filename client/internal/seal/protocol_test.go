package seal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func protocol(t *testing.T) string {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The table of padding in the specification, and the sizes it names, are those
// of the code.
func TestProtocolSizes(t *testing.T) {
	text := protocol(t)
	_, sealing, ok := strings.Cut(text, "\n# Sealing\n")
	if !ok {
		t.Fatal("docs/protocol.md has no chapter Sealing")
	}
	var want []string
	for from, b := 0, entryBuckets.low; b <= entryBuckets.high; b *= 2 {
		to := b - padHeader
		want = append(want, fmt.Sprintf("| %s to %s | %s | %s |\n", grouped(from), grouped(to), grouped(b), grouped(SealedSize(to))))
		from = to + 1
	}
	rows, found := strings.Join(want, ""), strings.Contains(sealing, "| --- | --- | --- |\n"+strings.Join(want, "")+"\n")
	if !found {
		t.Errorf("the table of padding is not\n%s", rows)
	}
	sealedVault := func(n int) string { return grouped(sealedSize(vaultBuckets.bucket(n))) }
	for _, want := range []string{
		fmt.Sprintf("salt          %d bytes", saltSize),
		fmt.Sprintf("commitment    %d bytes", commitmentSize),
		fmt.Sprintf("chunk 0       %s bytes of plaintext encrypted, %d bytes of tag", grouped(chunkSize), tagSize),
		fmt.Sprintf("`%d + n + %d * (floor(n / %d) + 1)`", headerSize, tagSize, chunkSize),
		fmt.Sprintf("%d bytes in all: the size of every sealed epoch secret", sealedSize(secretSize)),
		fmt.Sprintf("at most %s bytes of content, a vault %s;", grouped(MaxPlaintext), grouped(MaxVaultPlaintext)),
		fmt.Sprintf("Buckets of entries are %d, 512, 1,024 ... %s bytes; of vaults %s, 8,192 ... %s.", entryBuckets.low, grouped(entryBuckets.high), grouped(vaultBuckets.low), grouped(vaultBuckets.high)),
		fmt.Sprintf("The smallest vault has %s bytes, the largest %s.", sealedVault(0), sealedVault(MaxVaultPlaintext)),
		fmt.Sprintf("**Wrap**, %s bytes", grouped(wire.WrapSize)),
		fmt.Sprintf("**Self key** and **recovery slot**, %s bytes each", grouped(wire.SelfKeySize)),
		fmt.Sprintf("encapsulated key    %s bytes", grouped(wire.WrapSize-2*secretSize-tagSize)),
		fmt.Sprintf("less than %s KiB or more than 1,048,576, fewer than %d passes or", grouped(int(wire.DefaultArgon2.Memory)), wire.DefaultArgon2.Time),
		fmt.Sprintf("%d characters of `%s`", codeLength, codeAlphabet),
		fmt.Sprintf("no more than %d bytes of UTF-8", maxCodeInput),
	} {
		if !strings.Contains(sealing, want) {
			t.Errorf("the chapter Sealing does not say %q", want)
		}
	}
}

// grouped writes a number as the document does, 65,536.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// The labels of the contexts in the specification are those that the code seals under.
func TestProtocolContexts(t *testing.T) {
	_, after, ok := strings.Cut(protocol(t), "| object | label | place |\n")
	table, _, ok2 := strings.Cut(after, "\n\n")
	if !ok || !ok2 {
		t.Fatal("docs/protocol.md has no table of contexts")
	}
	for _, l := range []wire.Label{
		wire.LabelSealEntry, wire.LabelSealSelfSecret, wire.LabelSealLink, wire.LabelSealVault, wire.LabelSealSlot, wire.LabelSealRecovery,
		wire.LabelSealSelfKey, wire.LabelSealWrap, wire.LabelSealCache,
	} {
		if strings.Count(table, "`"+string(l)+"`") != 1 {
			t.Errorf("the table has no place for %s", l)
		}
	}
	if n := strings.Count(table, "peerbrain/v1/seal/"); n != 9 {
		t.Errorf("the table has %d labels", n)
	}
}
