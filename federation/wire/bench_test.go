package wire

import (
	"bytes"
	"testing"
)

func BenchmarkOpenEntryHeader(b *testing.B) {
	s := must(postEntry(EntryID(seedOf("previous")), []byte("body")).Sign(aliceKey))
	key := aliceKey.Public()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OpenEntryHeader(s, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignEntry(b *testing.B) {
	h := postEntry(EntryID(seedOf("previous")), []byte("body"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Sign(aliceKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenKeyStatement(b *testing.B) {
	s := must(keyStatement().Sign(aliceKey))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := OpenFirstKeyStatement(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStreamNext(b *testing.B) {
	head := StreamHead{Seq: 1, ID: EntryID(seedOf("previous")), Epoch: 1, Created: t0}
	h := postEntry(head.ID, []byte("body"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := head.Next(h, EntryID{1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckEd25519(b *testing.B) {
	key := aliceKey.Public()
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckEd25519("key", key); err != nil {
			b.Fatal(err)
		}
	}
}

// A page of the feed of about 1 MiB.
func BenchmarkDecodeJSONPage(b *testing.B) {
	header := must(postEntry(EntryID(seedOf("previous")), []byte("body")).Sign(aliceKey))
	var r FeedReply
	for range 100 {
		r.Items = append(r.Items, FeedItem{Entry: Entry{header, bytes.Repeat([]byte{7}, 9000)}})
	}
	body := EncodeJSON(&r)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeJSON(body, new(FeedReply)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeFeed writes a page of 50 posts of 600 bytes for somebody with
// 200 friends, of parts that keep their JSON.
func BenchmarkEncodeFeed(b *testing.B) {
	page := somePage(50, 200, "cursor", true)
	header := must(postEntry(EntryID(seedOf("previous")), []byte("body")).Sign(aliceKey))
	for i := range page.Items {
		page.Items[i].Entry = Entry{header, bytes.Repeat([]byte{7}, 1096)}
		page.Items[i] = page.Items[i].Keep()
	}
	b.SetBytes(int64(len(EncodeJSON(page))))
	b.ReportAllocs()
	for b.Loop() {
		EncodeJSON(page)
	}
}

func BenchmarkDecodeJSONPost(b *testing.B) {
	text := EncodeJSON(PublishRequest{Entry: Entry{Header: make(Signed, 300), Body: make(Bytes, 1100)}})
	b.ReportAllocs()
	for b.Loop() {
		var r PublishRequest
		if err := DecodeJSON(text, &r); err != nil {
			b.Fatal(err)
		}
	}
}
