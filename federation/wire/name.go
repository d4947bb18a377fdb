package wire

import (
	"strconv"
	"strings"
)

// A Handle names a person on one node: 1 to 32 of a-z, 0-9 and _, beginning and
// ending with a letter or digit. It has one spelling.
type Handle string

// A NodeName is the lower-case DNS name of a node, such as node.example. In
// development a node may be called localhost, with an optional :port.
type NodeName string

// An Address is where a person is found, written alice@node.example.
type Address struct {
	Handle Handle
	Node   NodeName
}

// ParseHandle accepts exactly one spelling of each handle.
func ParseHandle(s string) (Handle, error) {
	if len(s) < 1 || len(s) > 32 {
		return "", Errorf(Invalid, "handle", "%q must have 1 to 32 characters", clip(s))
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		inner := c == '_' && i > 0 && i < len(s)-1
		if !isAlnum(c) && !inner {
			return "", Errorf(Invalid, "handle", "%q may hold a-z, 0-9 and, inside, _", clip(s))
		}
	}
	return Handle(s), nil
}

// reserved are handles that nobody can register: people would take them for the
// node itself.
const reserved = " abuse account admin administrator all anonymous api app billing contact daemon everyone help hostmaster " +
	"info localhost login logout mail mailer me moderator nobody node noc official operator owner peerbrain postmaster " +
	"privacy register root security server service settings signup staff status support sysadmin system test undefined " +
	"null unknown user users web webmaster well_known www "

// Reserved reports whether h is kept from registration.
func (h Handle) Reserved() bool { return strings.Contains(reserved, " "+string(h)+" ") }

// ParseNodeName accepts a lower-case DNS name of at least two labels, or a
// development name. IP literals, trailing dots, ports of public names and labels
// with "--" in third place (xn-- among them) are refused.
func ParseNodeName(s string) (NodeName, error) {
	if rest, ok := strings.CutPrefix(s, "localhost"); ok && (rest == "" || rest[0] == ':') {
		if rest != "" && !validPort(rest[1:]) {
			return "", Errorf(Invalid, "node", "%q has no valid port (1 to 65535)", clip(s))
		}
		return NodeName(s), nil
	}
	bad := func(why string) (NodeName, error) {
		return "", Errorf(Invalid, "node", "%q is no node name: %s", clip(s), why)
	}
	if len(s) > 253 {
		return bad("it has more than 253 characters")
	}
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return bad("a name such as node.example was expected")
	}
	for _, l := range labels {
		if !validLabel(l) {
			return bad("labels have 1 to 63 of a-z, 0-9 and, inside, -")
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return bad("addresses of the network are not names")
	}
	if labels[len(labels)-1] == "localhost" {
		return bad("only localhost itself is a development name")
	}
	return NodeName(s), nil
}

func validPort(p string) bool {
	n, err := strconv.ParseUint(p, 10, 16)
	return err == nil && n > 0 && p[0] != '0'
}

func validLabel(l string) bool {
	if len(l) < 1 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	if len(l) >= 4 && l[2] == '-' && l[3] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		if !isAlnum(l[i]) && l[i] != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// Development reports whether n may be used in development mode only.
func (n NodeName) Development() bool {
	return n == "localhost" || strings.HasPrefix(string(n), "localhost:")
}

// Origin returns the scheme and host under which n is reached: plain http for
// development names, https for all others.
func (n NodeName) Origin() string {
	if n.Development() {
		return "http://" + string(n)
	}
	return "https://" + string(n)
}

// ParseAddress accepts handle@node in its one spelling.
func ParseAddress(s string) (Address, error) {
	h, n, ok := strings.Cut(s, "@")
	if !ok {
		return Address{}, Errorf(Invalid, "address", "%q is no address: alice@node.example was expected", clip(s))
	}
	handle, err := ParseHandle(h)
	if err != nil {
		return Address{}, err
	}
	node, err := ParseNodeName(n)
	if err != nil {
		return Address{}, err
	}
	return Address{Handle: handle, Node: node}, nil
}

func (a Address) String() string { return string(a.Handle) + "@" + string(a.Node) }

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText writes handle@node.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

// UnmarshalText is ParseHandle.
func (h *Handle) UnmarshalText(b []byte) (err error) {
	*h, err = ParseHandle(string(b))
	return err
}

// UnmarshalText is ParseNodeName.
func (n *NodeName) UnmarshalText(b []byte) (err error) {
	*n, err = ParseNodeName(string(b))
	return err
}

// clip shortens input that is quoted in an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
