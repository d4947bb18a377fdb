package federation

import (
	"crypto/ed25519"
	"testing"
	"time"
)

// BenchmarkVerifyRequest is all that Serve does before it looks into the body,
// the replay cache included. Compare with BenchmarkEd25519Verify.
func BenchmarkVerifyRequest(b *testing.B) {
	s := newServer(b, &markShelf{})
	const batch = 4096
	requests := make([]RawRequest, 0, batch)
	b.ReportAllocs()
	for b.Loop() {
		if len(requests) == 0 {
			b.StopTimer()
			secrets := testSecrets(string(nodeA))
			for range batch {
				requests = append(requests, write(newPen(nodeA, nodeB, secrets, time.Now())))
			}
			b.StartTimer()
		}
		r := requests[len(requests)-1]
		requests = requests[:len(requests)-1]
		if _, err := s.verify(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEd25519Verify is the signature alone, over a signing string.
func BenchmarkEd25519Verify(b *testing.B) {
	p := penOfA()
	write(p)
	message := []byte(p.SigningString())
	pub, sig := p.Key.Public().(ed25519.PublicKey), ed25519.Sign(p.Key, message)
	b.ReportAllocs()
	for b.Loop() {
		if !ed25519.Verify(pub, message, sig) {
			b.Fatal("it does not verify")
		}
	}
}

func BenchmarkSignRequest(b *testing.B) {
	key, body := testSecrets(string(nodeA)).Request, []byte(keysBody())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sign(nodeA, nodeB, key, paths[0], body, newNonce()); err != nil {
			b.Fatal(err)
		}
	}
}
