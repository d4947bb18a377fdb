package seal

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func BenchmarkSealEntry600(b *testing.B) {
	h, k, text := header(), NewContentKey(), pattern(600)
	b.ReportAllocs()
	for b.Loop() {
		must(SealEntry(&h, k, text))
	}
}

func BenchmarkOpenEntry600(b *testing.B) {
	h, k := header(), NewContentKey()
	body := must(SealEntry(&h, k, pattern(600)))
	b.ReportAllocs()
	for b.Loop() {
		must(OpenEntry(&h, k, body))
	}
}

func BenchmarkOpenEntry64K(b *testing.B) {
	h, k := header(), NewContentKey()
	body := must(SealEntry(&h, k, pattern(MaxPlaintext)))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		must(OpenEntry(&h, k, body))
	}
}

func BenchmarkSealWrap(b *testing.B) {
	content, chain := NewEpochSecret().Split()
	to, at := NewEncryptionSecret().Public(), wrapPlace(content)
	b.ReportAllocs()
	for b.Loop() {
		must(SealWrap(to, at, content, &chain))
	}
}

func BenchmarkOpenWrap(b *testing.B) {
	content, chain := NewEpochSecret().Split()
	s, at := NewEncryptionSecret(), wrapPlace(content)
	sealed := must(SealWrap(s.Public(), at, content, &chain))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := OpenWrap(s, at, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealLink(b *testing.B) {
	chain, older := NewChainKey(), NewEpochSecret()
	b.ReportAllocs()
	for b.Loop() {
		must(SealLink(chain, linkPlace(), older))
	}
}

func BenchmarkOpenLink(b *testing.B) {
	chain := NewChainKey()
	sealed := must(SealLink(chain, linkPlace(), NewEpochSecret()))
	b.ReportAllocs()
	for b.Loop() {
		must(OpenLink(chain, linkPlace(), sealed))
	}
}

func BenchmarkSplit(b *testing.B) {
	s := NewEpochSecret()
	b.ReportAllocs()
	for b.Loop() {
		s.Split()
	}
}

func BenchmarkDerivePassword(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DerivePassword([]byte("correct horse"), alice, wire.DefaultArgon2, wire.Nonce{}); err != nil {
			b.Fatal(err)
		}
	}
}
