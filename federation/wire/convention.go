package wire

// What a node tells programs that speak another protocol: NodeInfo 2.1
// (http://nodeinfo.diaspora.software) and WebFinger (RFC 7033). No client and no
// node of ours asks for it.

// Paths by convention.
const (
	PathNodeInfoLinks = "/.well-known/nodeinfo"
	PathNodeInfo      = "/nodeinfo/2.1"
	PathWebFinger     = "/.well-known/webfinger" // ?resource=acct:alice@node.example, percent-encoded or not
)

// Content types and relations by convention.
const (
	MediaJRD      = "application/jrd+json"
	MediaNodeInfo = `application/json; profile="http://nodeinfo.diaspora.software/ns/schema/2.1#"`
	RelNodeInfo   = "http://nodeinfo.diaspora.software/ns/schema/2.1"
	RelDocument   = "service-meta" // RFC 8631: what describes a service, for machines
)

// WebLink leads somewhere, as in a JSON Resource Descriptor (RFC 7033, section 4.4).
type WebLink struct {
	Rel  string `json:"rel"`
	Type string `json:"type,omitempty"`
	Href string `json:"href"`
}

// NodeInfoLinks leads to the NodeInfo of the version that a node has.
type NodeInfoLinks struct {
	Links []WebLink `json:"links"`
}

// NodeInfo is schema 2.1, but for the name of the protocol, which is not in its
// list. It counts nobody and nothing.
type NodeInfo struct {
	Version           string           `json:"version"` // "2.1"
	Software          NodeInfoSoftware `json:"software"`
	Protocols         []string         `json:"protocols"`
	Services          NodeInfoServices `json:"services"`
	OpenRegistrations bool             `json:"openRegistrations"`
	Usage             NodeInfoUsage    `json:"usage"`
	Metadata          Nothing          `json:"metadata"`
}

// NodeInfoSoftware is what serves.
type NodeInfoSoftware struct {
	Name    string `json:"name"` // a-z, 0-9 and -
	Version string `json:"version"`
}

// NodeInfoServices are other networks, none of which a node speaks to.
type NodeInfoServices struct {
	Inbound  []string `json:"inbound"`
	Outbound []string `json:"outbound"`
}

// NodeInfoUsage has to be there, and may be empty.
type NodeInfoUsage struct {
	Users Nothing `json:"users"`
}

// Nothing is {}.
type Nothing struct{}

// WebFinger tells that an address is one of this node's, and where to read on:
// the node's signed document, which says at which host its API is.
type WebFinger struct {
	Subject string    `json:"subject"` // acct:alice@node.example
	Links   []WebLink `json:"links"`
}
