package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"
)

// TestFeedEncoding: pages that are put together by hand, of parts that keep their
// JSON and of parts that do not, are what encoding them as a whole gives.
func TestFeedEncoding(t *testing.T) {
	for items := range 3 {
		for streams := range 3 {
			for _, cursor := range []string{"", "AZaz09-_", `"<\\é`} {
				for _, keep := range []bool{false, true} {
					page := somePage(items, streams, cursor, keep)
					page.All, page.State = keep, cursor
					type plain FeedReply // has no encoding of its own
					want, err := json.Marshal(plain(page), json.Deterministic(true))
					if err != nil {
						t.Fatal(err)
					}
					if got := EncodeJSON(page); !bytes.Equal(got, want) {
						t.Errorf("got  %s\nwant %s", got, want)
					}
					if got := AppendJSON([]byte("before"), page); !bytes.Equal(got, append([]byte("before"), want...)) {
						t.Errorf("behind something: got %s\nwant %s", got, want)
					}
				}
			}
		}
	}
}

// somePage makes a page of parts that differ.
func somePage(items, streams int, cursor string, keep bool) FeedReply {
	page := FeedReply{Cursor: cursor}
	for i := range items {
		item := FeedItem{
			Author: AccountID(seedOf(fmt.Sprint("author", i))), Audience: AudienceID(seedOf(fmt.Sprint("audience", i))),
			Entry: Entry{Signed("signed"), bytes.Repeat([]byte{byte(i)}, 5*i)}, Position: int64(i) - 1,
		}
		if keep {
			item = item.Keep()
		}
		page.Items = append(page.Items, item)
	}
	for i := range streams {
		status := StreamStatus{Author: AccountID(seedOf(fmt.Sprint("author", i))), Audience: AudienceID(seedOf(fmt.Sprint("audience", i)))}
		if keep {
			status = status.Keep()
		}
		status.Head, status.AsOf = uint64(i)*MaxInteger, -int64(i)
		page.Streams = append(page.Streams, status)
	}
	return page
}
