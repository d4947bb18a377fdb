package wire

// The API between nodes: signed POST requests with JSON bodies. The envelopes
// are unsigned beyond that; each statement inside verifies under a person's key.

// Paths of the API between nodes.
const (
	PathPeerKeys    = "/federation/v1/keys"       // KeysRequest: KeysReply
	PathPeerFriends = "/federation/v1/friendship" // PeerFriendRequest: PeerFriendReply
	PathPeerSync    = "/federation/v1/sync"       // SyncRequest: SyncReply
	PathPeerNotices = "/federation/v1/notices"    // NoticeRequest: NoticeReply
)

// PeerFriendRequest delivers a friendship statement. From and To tell whose
// keys verify it; the statement has to say the same.
type PeerFriendRequest struct {
	From        Address   `json:"from"`
	FromAccount AccountID `json:"from_account"`
	To          Address   `json:"to"`
	ToAccount   AccountID `json:"to_account"`
	FriendStatement
}

// PeerFriendReply says that the statement is on disk.
type PeerFriendReply struct {
	State FriendState `json:"state"`
}

// SyncRequest asks for what is new in many streams at once, at most
// MaxSyncStreams with MaxSyncReaders in all, and which changed Since the State of an
// earlier reply.
type SyncRequest struct {
	Streams []SyncStream `json:"streams"`
	Since   string       `json:"since,omitempty"`
}

// SyncStream asks for one stream on behalf of its readers at the asking node.
type SyncStream struct {
	Author   AccountID    `json:"author"`
	Audience AudienceID   `json:"audience"`
	After    uint64       `json:"after"` // the newest seq the asking node has
	Head     EntryID      `json:"head"`  // and its id; all zero with 0
	Readers  []SyncReader `json:"readers"`
}

// SyncReader is one person who reads, and the hash (SHA-256 over the sealed
// bytes) of the newest wrap that the asking node has of theirs.
type SyncReader struct {
	Account AccountID `json:"account"`
	Have    Hash      `json:"have"`
}

// SyncReply answers stream by stream, in the order asked. More is set when a
// limit cut the page: ask again. State is of a moment before the answer. Changed names
// each stream with readers at the asking node that has another entry Since a state of
// its own, at most MaxSyncStreams, and all else is as it was; with no State it cannot be
// told: ask for the streams.
type SyncReply struct {
	Streams []SyncedStream  `json:"streams"`
	More    bool            `json:"more"`
	State   string          `json:"state"`
	Changed []ChangedStream `json:"changed"`
}

// ChangedStream names a stream.
type ChangedStream struct {
	Author   AccountID  `json:"author"`
	Audience AudienceID `json:"audience"`
}

// SyncedStream is what is new in one stream. Code is set instead of everything
// else when this stream failed: one bad stream holds up no other. A stream of
// which no reader may know is NotExist, like one that is not there.
type SyncedStream struct {
	Author   AccountID    `json:"author"`
	Audience AudienceID   `json:"audience"`
	Head     uint64       `json:"head"`
	Entries  []Entry      `json:"entries"`
	Wraps    []SyncedWrap `json:"wraps"`
	Closed   []ClosedTo   `json:"closed"`
	Code     Kind         `json:"code,omitempty"`
}

// SyncedWrap is a wrap with the commitment of its epoch.
type SyncedWrap struct {
	Commitment Commitment `json:"commitment"`
	Wrap       Wrap       `json:"wrap"`
}

// ClosedTo names a reader who is not served, with the signed ends that say why
// where there are some.
type ClosedTo struct {
	Account AccountID `json:"account"`
	Ends    []Signed  `json:"ends"`
}

// NoticeRequest tells a node what is new in streams that people there read, at
// most MaxSyncStreams. It is a hint: who misses it asks with a SyncRequest. More
// says that there is something new beyond what is inside.
type NoticeRequest struct {
	Streams []NoticedStream `json:"streams"`
	More    bool            `json:"more"`
}

// NoticedStream is what is new in one stream: entries from After+1 on, not
// necessarily up to Head, and wraps of readers at the node that is told.
type NoticedStream struct {
	Author   AccountID    `json:"author"`
	Audience AudienceID   `json:"audience"`
	After    uint64       `json:"after"`
	Head     uint64       `json:"head"` // seq of the newest entry
	Entries  []Entry      `json:"entries"`
	Wraps    []SyncedWrap `json:"wraps"`
}

// NoticeReply says that the notice was read, and what was good of it is on disk.
type NoticeReply struct{}
