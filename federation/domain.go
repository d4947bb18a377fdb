package federation

import (
	"golang.org/x/net/publicsuffix"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// DomainOf returns the registrable domain of n: what its owner paid for, or was
// given by a host that gives names to anybody. Who has one has all names under
// it, so it is what is held to account. It is the name itself where nobody can
// own less: localhost, and a suffix such as co.uk. The suffixes are those of
// publicsuffix.org when golang.org/x/net was released.
func DomainOf(n wire.NodeName) wire.NodeName {
	if n.Development() {
		return n
	}
	d, err := publicsuffix.EffectiveTLDPlusOne(string(n))
	if err != nil {
		return n
	}
	return wire.NodeName(d)
}

// IsRegistry reports whether n is a suffix such as co.uk, under which a registry
// lets anybody have a name.
func IsRegistry(n wire.NodeName) bool {
	suffix, registry := publicsuffix.PublicSuffix(string(n))
	return registry && suffix == string(n)
}
