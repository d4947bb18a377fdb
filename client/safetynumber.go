package client

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"rsc.io/qr/coding"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A safety number stands for the keys of two people as one of them sees them. Where
// both see the same, nobody stands between them. It is two halves of 30 digits, one
// for each, that of the lower account id first:
//
//	fingerprint = hash(hash/fingerprint, account, identity key, encryption key)
//	h[0] = fingerprint, h[n+1] = hash(hash/safety-number, h[n], fingerprint)
//	half = six groups: five bytes of h[8192] each, big-endian, modulo 100000
//
// The keys are those of the newest statement. The encryption key is among them
// because a statement does not prove that whoever signed it holds the new identity
// key: a thief of an old one can name the owner's new identity beside an encryption
// key of their own. The recovery keys are not, so a new recovery code changes no
// number. Whoever looks for keys with a given half has to compute some 2^99 of them,
// each 8,192 hashes (TestSafetyNumber, docs/vectors/safety-number.json).
const (
	numberDigits = 60
	numberGroup  = 5
	numberRounds = 8192
	halfGroups   = 6
)

// SafetyNumber is 60 decimal digits, compared with ==.
type SafetyNumber [numberDigits]byte

// safetyNumber is the same whichever of the two comes first.
func safetyNumber(one, other *keyservice.Chain) SafetyNumber {
	if compareIDs(one.Account(), other.Account()) > 0 {
		one, other = other, one
	}
	digits := appendHalf(nil, fingerprint(one.Account(), one.Newest()))
	return SafetyNumber(appendHalf(digits, fingerprint(other.Account(), other.Newest())))
}

// fingerprint stands for the keys of one person.
func fingerprint(account wire.AccountID, k *wire.KeyStatement) wire.Hash {
	return wire.LabelFingerprint.Hash(account[:], k.Identity[:], k.Encryption[:])
}

func appendHalf(digits []byte, f wire.Hash) []byte {
	h := f
	for range numberRounds {
		h = wire.LabelSafetyNumber.Hash(h[:], f[:])
	}
	for i := range halfGroups {
		five := [8]byte{}
		copy(five[3:], h[5*i:5*i+5])
		digits = fmt.Appendf(digits, "%05d", binary.BigEndian.Uint64(five[:])%100000)
	}
	return digits
}

// Groups returns the number as people read it out: 12 groups of 5 digits.
func (n SafetyNumber) Groups() (groups []string) {
	for i := 0; i < numberDigits; i += numberGroup {
		groups = append(groups, string(n[i:i+numberGroup]))
	}
	return groups
}

// String returns the groups with a space between them.
func (n SafetyNumber) String() string { return strings.Join(n.Groups(), " ") }

// differs counts the groups that are others in o.
func (n SafetyNumber) differs(o SafetyNumber) (groups int) {
	theirs := o.Groups()
	for i, group := range n.Groups() {
		if group != theirs[i] {
			groups++
		}
	}
	return groups
}

// What stands in front of the number in a QR code: words for whoever points any
// camera at it, and a version. All of it is in the alphanumeric set of QR codes.
const (
	scannedWords   = "PEERBRAIN SAFETY NUMBER "
	scannedVersion = "1"
)

// Scanned returns what a QR code of the number says:
//
//	PEERBRAIN SAFETY NUMBER 1: 25434 89045 ... 03712
func (n SafetyNumber) Scanned() string {
	return scannedWords + scannedVersion + ": " + n.String()
}

// maxNumberInput bounds what is looked at, separators included.
const maxNumberInput = 256

// ParseSafetyNumber reads a number as people type it, with any spaces, dashes and
// line breaks or without, or as it was scanned. Everything but 60 digits is Invalid,
// another version of what is scanned Update.
func ParseSafetyNumber(s string) (SafetyNumber, error) {
	if len(s) > maxNumberInput {
		return SafetyNumber{}, wire.Errorf(wire.Invalid, "safety number", "it has %d digits in groups of %d; this is longer", numberDigits, numberGroup)
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			return -1
		}
		return r
	}, s)
	if scanned, ok := strings.CutPrefix(digits, strings.ReplaceAll(scannedWords, " ", "")); ok {
		version, number, _ := strings.Cut(scanned, ":")
		if version != scannedVersion {
			return SafetyNumber{}, wire.Errorf(wire.Update, "safety number", "the version %q of what was scanned is not known here; a newer release is needed", version)
		}
		digits = number
	}
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		return SafetyNumber{}, wire.Errorf(wire.Invalid, "safety number", "it has digits only, and not %q", []rune(digits[i:])[0])
	}
	if len(digits) != numberDigits {
		return SafetyNumber{}, wire.Errorf(wire.Invalid, "safety number", "it has %d digits, and this has %d", numberDigits, len(digits))
	}
	return SafetyNumber([]byte(digits)), nil
}

// A QR is the square of dark and light modules that a camera reads (ISO/IEC 18004).
// Around it a light margin of QRMargin modules is needed.
type QR struct{ modules *coding.Code }

// QRMargin is the width of the margin.
const QRMargin = 4

// QR returns the code that says Scanned: 98 characters are version 4 with level L,
// 33 by 33 modules, which with its margin fits a terminal of 24 lines.
func (n SafetyNumber) QR() QR {
	plan, err := coding.NewPlan(4, coding.L, 0)
	if err != nil {
		panic("client: " + err.Error())
	}
	modules, err := plan.Encode(coding.Alpha(n.Scanned()))
	if err != nil {
		panic("client: " + err.Error()) // digits, always as many
	}
	return QR{modules}
}

// TextQR returns the code that says text, of the smallest version that can, level L.
// TooLarge where none can: they say at most 2,953 bytes.
func TextQR(text string) (QR, error) {
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion; v++ {
		plan, err := coding.NewPlan(v, coding.L, 0)
		if err != nil {
			return QR{}, wire.Errorf(wire.Internal, "qr", "version %d: %v", v, err)
		}
		if coding.String(text).Bits(v) > plan.DataBytes*8 {
			continue
		}
		modules, err := plan.Encode(coding.String(text))
		if err != nil {
			return QR{}, wire.Errorf(wire.Internal, "qr", "version %d: %v", v, err)
		}
		return QR{modules}, nil
	}
	return QR{}, wire.Errorf(wire.TooLarge, "qr", "no code can say %d bytes", len(text))
}

// Size returns how many modules are in a row, and in a column.
func (q QR) Size() int { return q.modules.Size }

// Dark reports whether a module is dark; those outside of the square are not.
func (q QR) Dark(x, y int) bool { return q.modules.Black(x, y) }
