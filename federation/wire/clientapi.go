package wire

// The client API: JSON over HTTPS, the session as a bearer token. Routes stand
// beside their types; docs/protocol.md has them with examples. Errors are
// problem+json (Problem).

// The content types of the two APIs; text and octets are files of a log.
const (
	MediaJSON    = "application/json"
	MediaProblem = "application/problem+json"
	MediaEvents  = "text/event-stream"
	MediaText    = "text/plain; charset=utf-8"
	MediaOctets  = "application/octet-stream"
	MediaLogSize = "text/x.tlog.size"
)

// HeaderCheckpoint is in the answer of a node that does not cosign a checkpoint (409, 422):
// what it cosigned of that log last, a signed note with the line of the log alone, in
// base64 with padding.
const HeaderCheckpoint = "Tlog-Checkpoint"

// Paths of the client API. Words after a colon are parameters.
const (
	PathDocument  = "/.well-known/peerbrain"              // GET: NodeDocumentReply
	PathHealth    = "/healthz"                            // GET: Health
	PathRegister  = "/v1/register"                        // POST RegisterRequest: RegisterReply
	PathChallenge = "/v1/login/challenge"                 // POST ChallengeRequest: ChallengeReply
	PathLogin     = "/v1/login"                           // POST LoginRequest: LoginReply
	PathHeads     = "/v1/heads"                           // POST HeadsRequest: HeadsReply
	PathRecovery  = "/v1/recovery"                        // POST RecoveryRequest: RecoveryReply
	PathTombstone = "/v1/tombstone"                       // POST DeleteRequest
	PathSession   = "/v1/session"                         // GET: SessionReply; DELETE
	PathSessions  = "/v1/sessions"                        // GET: SessionsReply; DELETE: all but the caller's
	PathOneOfAll  = "/v1/sessions/:id"                    // DELETE
	PathFactor    = "/v1/second-factor"                   // GET: SecondFactorReply; PUT SecondFactorRequest; DELETE
	PathBackup    = "/v1/second-factor/backup"            // PUT BackupRequest
	PathVault     = "/v1/vault"                           // GET ?after=N: VaultReply; PUT VaultUpdate
	PathKeys      = "/v1/keys"                            // POST KeysRequest: KeysReply
	PathFriends   = "/v1/friends"                         // GET: FriendsReply; POST FriendStatement: FriendReply
	PathWraps     = "/v1/wraps"                           // POST WrapsRequest
	PathWrap      = "/v1/wraps/:author/:audience/:commit" // GET: Wrap
	PathEntries   = "/v1/entries"                         // POST PublishRequest: PublishReply
	PathStream    = "/v1/streams/:author/:audience"       // GET ?after=N or ?before=N, &limit=N: StreamReply
	PathPost      = "/v1/posts/:id"                       // GET: FeedItem
	PathFeed      = "/v1/feed"                            // GET ?limit=N&before=CURSOR&since=STATE: FeedReply
	PathEvents    = "/v1/events"                          // GET: an event stream (MediaEvents)
	PathLogTop    = "/v1/log/:number/checkpoint"          // GET: a signed checkpoint (MediaText)
	PathCosigned  = "/v1/log/:number/cosigned"            // GET: the newest checkpoint that two witnesses have cosigned, else that with most (MediaText)
	PathLogFile   = "/v1/log/:number/tile/:file"          // GET: a tile or leaves (MediaOctets); slashes in file
	PathWitness   = "/v1/witness/add-checkpoint"          // POST a checkpoint of another log: a cosignature (MediaText)
	PathPage      = "/"                                   // GET: the page for browsers
	PathPageFile  = "/web/:digest/:file"                  // GET: what it loads; slashes in file
	PathPageSaved = "/sw.js"                              // GET: its service worker
	PathPageNode  = "/node.json"                          // GET: PageNode
)

// Names of events. Their data is {}: what is new is asked for.
const (
	EventFeed    = "feed"    // the feed has changed; the id is the state that it has at least
	EventFriends = "friends" // friends or offers have changed
)

// HeaderLastEvent is the header with the id of the last event that was received.
const HeaderLastEvent = "Last-Event-ID"

// NodeDocumentReply carries the node's signed document and, oldest first, the
// changes of the root key that led to the root in it, at most MaxRootChanges.
type NodeDocumentReply struct {
	Document    Signed   `json:"document"`
	RootChanges []Signed `json:"root_changes,omitempty"`
}

// Open opens the document of the node called name. Whoever pinned another root than
// the one in it opens the changes as well (OpenRootChanges); to others they mean nothing.
func (r *NodeDocumentReply) Open(name NodeName) (*NodeDocument, error) {
	if len(r.RootChanges) > MaxRootChanges {
		return nil, Errorf(TooLarge, "root changes", "at most %d", MaxRootChanges)
	}
	return OpenNodeDocument(r.Document, name)
}

// Health says that a node serves, and which one it is.
type Health struct {
	Status string   `json:"status"` // "ok"
	Node   NodeName `json:"node"`
}

// PageNode tells a page whom it speaks with.
type PageNode struct {
	Node NodeName `json:"node"`
	API  string   `json:"api"` // an origin; empty for that of the page
}

// RegisterRequest founds an account. It may be sent again with the same bytes.
type RegisterRequest struct {
	KeyStatement Signed      `json:"key_statement"`
	Vault        VaultRecord `json:"vault"`
}

// RegisterReply names the account.
type RegisterReply struct {
	Account AccountID `json:"account"`
}

// ChallengeRequest begins a log-in.
type ChallengeRequest struct {
	Handle  Handle  `json:"handle"`
	Purpose Purpose `json:"purpose"`
}

// ChallengeReply is the same in shape for people who do not exist.
type ChallengeReply struct {
	Random  Nonce  `json:"random"` // of the account's salt
	Argon2  Argon2 `json:"argon2"`
	Nonce   Nonce  `json:"nonce"`
	Expires int64  `json:"expires"` // ms since 1970
	Tag     Hash   `json:"tag"`     // the node's own, to know its challenge again
}

// LoginRequest answers a challenge. DeviceToken is what an earlier log-in of
// this device got: it has a budget of its own for attempts. Code is wanted where the
// node answers SecondFactor without it.
type LoginRequest struct {
	Handle      Handle      `json:"handle"`
	Purpose     Purpose     `json:"purpose"`
	Nonce       Nonce       `json:"nonce"`
	Expires     int64       `json:"expires"`
	Tag         Hash        `json:"tag"`
	Answer      Signed      `json:"answer"` // the Challenge, signed
	Device      string      `json:"device"` // shown in the list of sessions, 1 to MaxDeviceName bytes
	DeviceToken *Token      `json:"device_token,omitempty"`
	Code        *FactorCode `json:"code,omitempty"`
}

// LoginReply opens a session.
type LoginReply struct {
	Account     AccountID `json:"account"`
	Token       Token     `json:"token"`
	DeviceToken Token     `json:"device_token"`
	Expires     int64     `json:"expires"` // ms since 1970
}

// SessionReply tells who the bearer of the token is.
type SessionReply struct {
	Handle  Handle    `json:"handle"`
	Account AccountID `json:"account"`
	Device  string    `json:"device"`
	Created int64     `json:"created"` // ms since 1970
	Expires int64     `json:"expires"` // ms since 1970
}

// DeleteRequest deletes the account of the caller.
type DeleteRequest struct {
	Tombstone Signed `json:"tombstone"`
}

// SessionsReply lists the sessions of the caller that are open, newest first.
type SessionsReply struct {
	Sessions []SessionInfo `json:"sessions"` // at most MaxSessions
	More     bool          `json:"more"`     // there are others
}

// SessionInfo is one of them. ID is the hash of its token, which opens nothing.
type SessionInfo struct {
	ID      Hash   `json:"id"`
	Device  string `json:"device"`
	Created int64  `json:"created"` // ms since 1970
	Expires int64  `json:"expires"` // ms since 1970
	Current bool   `json:"current"` // the one that asks
}

// HeadsRequest carries a HeadQuery of Account, whose key the node looks up.
type HeadsRequest struct {
	Account AccountID `json:"account"`
	Query   Signed    `json:"query"`
}

// HeadsReply holds the newest vault head this node has seen of the account.
type HeadsReply struct {
	Head Signed `json:"head"`
}

// RecoveryRequest carries a RecoveryQuery about Address. Without Stream it asks what the
// node has, with it for entries of one stream.
type RecoveryRequest struct {
	Address Address        `json:"address"`
	Query   Signed         `json:"query"`
	Stream  *RecoveryPlace `json:"stream,omitempty"`
}

// RecoveryPlace is where a page of a stream begins.
type RecoveryPlace struct {
	Audience AudienceID `json:"audience"`
	After    uint64     `json:"after"` // seq
}

// RecoveryReply is what a node has copied of an account: the whole chain of key
// statements and which streams; or a run of one stream in order of seq, at most MaxPage
// entries and MaxPageBytes. It begins with the first entry behind the place that is kept
// there, whose seq tells what is not.
type RecoveryReply struct {
	Statements []Signed         `json:"statements"`
	Streams    []RecoveryStream `json:"streams"` // at most MaxStreams
	Friends    []RecoveryFriend `json:"friends"` // of the node's own people, at most MaxRecoveryFriends
	Entries    []Entry          `json:"entries"`
}

// RecoveryStream is one that a node has a copy of.
type RecoveryStream struct {
	Audience AudienceID `json:"audience"`
	Head     uint64     `json:"head"`  // the newest seq
	AsOf     int64      `json:"as_of"` // when the author's node was last heard, ms since 1970
}

// RecoveryFriend is a friendship with one of the node's own people, as a FriendRecord of
// theirs has it: what shows that the one who asks has wanted it, too.
type RecoveryFriend struct {
	OfferMade Signed `json:"offer_made"` // by the friend
	OfferGot  Signed `json:"offer_got"`
	AcceptGot Signed `json:"accept_got"`
}

// VaultReply holds the heads after the one the client knows, oldest first, and
// the newest record; Record is absent when the client knows the newest.
type VaultReply struct {
	Heads  []Signed     `json:"heads"`
	Record *VaultRecord `json:"record,omitempty"`
}

// VaultUpdate is the next version of a vault. A key statement that comes with it is the
// next of the account, and the head is signed under it: the node takes both or neither.
type VaultUpdate struct {
	VaultRecord
	KeyStatement Signed `json:"key_statement,omitempty"`
}

// KeysRequest asks for the keys of one person: by address, or by account once
// that is known (with the address as a hint where to ask).
type KeysRequest struct {
	Address Address    `json:"address"`
	Account *AccountID `json:"account,omitempty"`
}

// KeysReply is the whole chain of key statements, first to newest, and the proof that
// the newest is in the log of its node (package keyservice, Proof).
type KeysReply struct {
	Statements []Signed `json:"statements"`
	Proof      Bytes    `json:"proof"`               // as the home node gave it with the statements, at most MaxLogProof
	AsOf       int64    `json:"as_of"`               // when the home node was last heard, ms since 1970
	Tombstone  Signed   `json:"tombstone,omitempty"` // the account is deleted
}

// FriendRecord is what a node holds of one friendship of its person: the
// statements that count, for the client to verify. Absent ones are empty.
type FriendRecord struct {
	Account       AccountID   `json:"account"`
	Address       Address     `json:"address"`
	State         FriendState `json:"state"`
	OfferMade     Signed      `json:"offer_made"`
	OfferGot      Signed      `json:"offer_got"`
	AcceptMade    Signed      `json:"accept_made"`
	AcceptGot     Signed      `json:"accept_got"`
	EndsMade      []Signed    `json:"ends_made"` // newest last, those that concern the offers above
	EndsGot       []Signed    `json:"ends_got"`
	Undelivered   int         `json:"undelivered"` // statements that the other node has not taken yet
	ProblemDetail string      `json:"problem,omitempty"`
	Tombstone     Signed      `json:"tombstone,omitempty"` // of the other, who has deleted their account
}

// FriendsReply lists all that is not StateNone, and what has ended recently.
type FriendsReply struct {
	Friends []FriendRecord `json:"friends"`
}

// FriendReply is the friendship after a statement.
type FriendReply struct {
	Friend FriendRecord `json:"friend"`
}

// FriendRequest hands in a friendship statement about Address.
type FriendRequest struct {
	Address Address `json:"address"`
	FriendStatement
}

// WrapsRequest stores wraps under a commitment, before the epoch entry or the
// friendship statement that makes them count. At most MaxWrapBatch.
type WrapsRequest struct {
	Audience   AudienceID `json:"audience"`
	Commitment Commitment `json:"commitment"`
	Wraps      []Wrap     `json:"wraps"`
}

// PublishRequest appends an entry to a stream of the caller. Ends, allowed with
// an epoch entry only, end friendships in the same commit.
type PublishRequest struct {
	Entry Entry           `json:"entry"`
	Ends  []FriendRequest `json:"ends,omitempty"`
}

// PublishReply says that the entry is on disk.
type PublishReply struct {
	ID      EntryID `json:"id"`
	Arrival int64   `json:"arrival"` // ms since 1970
}

// StreamReply is a run of a stream in order of seq, at most MaxPage entries and
// MaxPageBytes. Head is the newest seq the node has, 0 for an empty stream.
type StreamReply struct {
	Entries []Entry `json:"entries"`
	Head    uint64  `json:"head"`
	AsOf    int64   `json:"as_of"` // when the author's node was last heard, ms since 1970
}

// FeedItem is an entry and where it belongs.
type FeedItem struct {
	Author   AccountID  `json:"author"`
	Audience AudienceID `json:"audience"`
	Entry    Entry      `json:"entry"`
	Position int64      `json:"position"` // min(created, arrival), ms since 1970

	kept []byte // see Keep
}

// FeedReply is a page of the feed, newest first, entries of every kind: the
// reader needs all of them to see that none is missing. Cursor is empty at the end.
// State names what Streams add up to, for the next request.
type FeedReply struct {
	Items   []FeedItem     `json:"items"`
	Cursor  string         `json:"cursor,omitempty"`
	Streams []StreamStatus `json:"streams"`
	All     bool           `json:"all"` // Streams are all that may be read, not those that changed
	State   string         `json:"state"`
}

// StreamStatus tells what a node has of a stream that the reader may read, or
// could read before.
type StreamStatus struct {
	Author   AccountID  `json:"author"`
	Audience AudienceID `json:"audience"`
	Head     uint64     `json:"head"`  // 0: it can no longer be read
	AsOf     int64      `json:"as_of"` // when the author's node was last heard if that is a while ago, ms since 1970, else 0

	kept []byte // see Keep
}
