package node

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// maxKept is how many bytes a field has at most that is neither sealed nor holds
// others, unless its size is fixed: keys of records stand in some.
const maxKept = store.MaxKey

// A dissection is one record, taken apart.
type dissection struct {
	at       [keptClasses]int64 // bytes
	problems []keptProblem
	numbers  []keptNumber // 32 bytes that could be a private key
	derived  []wire.Hash  // hashes of what lies in the record: those are none
	locks    []keptNumber // what a private key could be found by
	epoch    bool         // of an entry
	hunting  bool         // only locks are wanted
}

// A keptProblem is what is wrong in a field.
type keptProblem struct{ field, problem string }

// A keptNumber is 32 bytes, and the field that they stand in.
type keptNumber struct {
	shape *keptShape
	value [32]byte
}

func (d *dissection) sum() (bytes int64) {
	for _, n := range d.at {
		bytes += n
	}
	return bytes
}

// addsUp is the promise of an audit: no byte of a record is left out, none counts
// twice.
func (d *dissection) addsUp(rec store.Record) error {
	if got, want := d.sum(), int64(len(rec.Key)+len(rec.Value)); got != want {
		return fmt.Errorf("%d bytes of %q were accounted for, and it has %d: this is a mistake in peerbrain-node", got, rec.Key, want)
	}
	return nil
}

func (d *dissection) problem(s *keptShape, problem string, args ...any) {
	d.problems = append(d.problems, keptProblem{s.path, fmt.Sprintf(problem, args...)})
}

// record takes a record apart, all of whose bytes count afterwards, each once.
func (d *dissection) record(p *keptPlace, rec store.Record) {
	d.name(p, rec.Key)
	if p.record == nil {
		d.content(rec.Value, p.shape)
		return
	}
	d.value(rec.Value, p.shape)
}

// name counts the key of a record, which fits.
func (d *dissection) name(p *keptPlace, key string) {
	for i, part := range strings.Split(key, "/") {
		if i > 0 {
			d.at[keptFrame]++
		}
		if p.parts[i] == nil {
			d.at[keptFrame] += int64(len(part))
			continue
		}
		d.at[p.parts[i].class] += int64(len(part))
		d.text(part, p.parts[i])
	}
}

// keptPlaceOf returns the kind that a key is of, or nil.
func keptPlaceOf(key string) *keptPlace {
	parts := strings.Split(key, "/")
	for _, p := range keptPlaces()[parts[0]] {
		if p.fits(parts) {
			return p
		}
	}
	return nil
}

func (p *keptPlace) fits(parts []string) bool {
	names := strings.Split(p.key, "/")
	if len(parts) != len(names) {
		return false
	}
	for i, name := range names {
		if p.parts[i] == nil && parts[i] != name || p.parts[i] != nil && !fitsPart(p.parts[i].field, parts[i]) {
			return false
		}
	}
	return true
}

// fitsPart reports whether a part of a key is what its name says.
func fitsPart(name, part string) bool {
	if strings.HasSuffix(name, "16") {
		_, ok := parseHex16(part)
		return ok
	}
	var err error
	switch name {
	case "process":
		b, err := hex.DecodeString(part)
		return err == nil && len(b) <= 8
	case "origin":
		b, err := hex.DecodeString(part)
		return err == nil && len(b) == 32 && strings.ToLower(part) == part
	case "node", "domain":
		_, err = wire.ParseNodeName(part)
	case "handle":
		_, err = wire.ParseHandle(part)
	case "name":
		err = checkRuleName(part)
	default:
		err = new(wire.Hash).UnmarshalText([]byte(part))
	}
	return err == nil
}

// value takes the CBOR of a record or a statement apart.
func (d *dissection) value(b []byte, s *keptShape) {
	before := d.sum()
	r := wire.ReadPlain(b)
	whole := d.item(&r, s)
	if rest := int64(len(b)) - (d.sum() - before); rest > 0 {
		d.at[keptFound] += rest
		if whole {
			d.problem(s, "%d bytes stand behind it that no field accounts for", rest)
		}
	}
}

// item takes one item apart. It reports whether there is more to be read behind it.
func (d *dissection) item(r *wire.PlainReader, s *keptShape) bool {
	before, _ := r.Left()
	kind, n := r.Head()
	after, plain := r.Left()
	if !plain || kind != major[s.sort][0] && kind != major[s.sort][1] {
		d.problem(s, "it is not what this release writes there")
		return false
	}
	head := int64(before - after)
	switch s.sort {
	case itemNumber, itemFlag:
		return d.number(head, kind, n, s)
	case itemList:
		d.at[keptFrame] += head
		return d.list(r, n, s)
	case itemMap:
		d.at[keptFrame] += head
		return d.members(r, n, s)
	}
	content := r.Content(n)
	if _, plain := r.Left(); !plain {
		d.problem(s, "it is cut short")
		return false
	}
	if s.sort == itemText && !utf8.Valid(content) {
		d.problem(s, "it is no text")
		return false
	}
	d.at[keptFrame] += head
	d.content(content, s)
	return true
}

// number counts a number, or a truth value.
func (d *dissection) number(bytes int64, kind byte, n uint64, s *keptShape) bool {
	switch {
	case s.sort == itemFlag && n != 20 && n != 21, s.sort == itemNumber && (n > s.most || kind == 1 && !s.signed):
		d.problem(s, "it is not what this release writes there")
		return false
	case (s.field == "Version" || s.field == "Suite") && n != recordVersion:
		d.problem(s, "it is %d, which this release does not know", n)
	case s.what == "EntryHeader" && s.field == "Kind":
		d.epoch = wire.EntryKind(n) == wire.KindEpoch
	}
	d.at[s.class] += bytes
	return true
}

func (d *dissection) list(r *wire.PlainReader, n uint64, s *keptShape) bool {
	if s.size > 0 && n != uint64(s.size) {
		d.problem(s, "it has %d items, %d were expected", n, s.size)
		return false
	}
	for range n {
		if !d.item(r, s.elem) {
			return false
		}
	}
	return true
}

// members takes the pairs of a map apart, whose numbers ascend.
func (d *dissection) members(r *wire.PlainReader, n uint64, s *keptShape) bool {
	next := 0
	for range n {
		before, _ := r.Left()
		kind, number := r.Head()
		after, plain := r.Left()
		for next < len(s.fields) && s.fields[next].number < number && !s.fields[next].always {
			next++
		}
		if !plain || kind != 0 || next == len(s.fields) || s.fields[next].number != number {
			d.problem(s, "no field of this release has the number that comes next")
			return false
		}
		d.at[keptFrame] += int64(before - after)
		if !d.item(r, s.fields[next].keptShape) {
			return false
		}
		next++
	}
	for _, f := range s.fields[next:] {
		if f.always {
			d.problem(f.keptShape, "it is missing")
		}
	}
	return true
}

// content counts the bytes of a field.
func (d *dissection) content(b []byte, s *keptShape) {
	switch {
	case s.size > 0 && len(b) != s.size:
		d.problem(s, "it has %d bytes, %d were expected", len(b), s.size)
		d.at[keptFound] += int64(len(b))
	case s.form != nil && (s.inside != nil || s.form.sealed != nil):
		d.formed(b, s)
	case s.size == 0 && len(b) > maxKept:
		d.problem(s, "it has %d bytes, at most %d were expected", len(b), maxKept)
		d.at[keptFound] += int64(len(b))
	default:
		d.at[s.class] += int64(len(b))
		if len(b) == 32 {
			d.candidate([32]byte(b), s)
		}
		d.text(string(b), s)
		d.lock(b, s)
	}
}

// formed counts the bytes of a field that holds others, or is sealed.
func (d *dissection) formed(b []byte, s *keptShape) {
	if s.form.digest != nil && !d.hunting {
		d.explain(s.form.digest(b))
	}
	switch {
	case len(b) == 0 && s.form.signed: // there is no such statement
	case s.form.signed:
		d.statement(b, s)
	case s.form.body && !d.epoch, s.inside == nil:
		d.sealed(b, s)
	default:
		d.value(b, s.inside[0])
	}
}

func (d *dissection) statement(b []byte, s *keptShape) {
	const signature = 64
	if len(b) <= signature {
		d.problem(s, "it is no statement")
		d.at[keptFound] += int64(len(b))
		return
	}
	inside := s.inside[0]
	for _, one := range s.inside {
		if len(one.fields) == int(b[signature]&31) {
			inside = one
		}
	}
	d.at[s.signer.class] += signature
	if !d.hunting {
		d.explain(wire.Signed(b).Hash(keptLabels[inside.what]))
	}
	d.value(b[signature:], inside)
}

// sealed counts bytes that nobody here can open, if they look like it.
func (d *dissection) sealed(b []byte, s *keptShape) {
	class := s.class
	if why := d.legible(b, s); why != "" {
		d.problem(s, "it is not sealed: %s", why)
		class = keptFound
	}
	d.at[class] += int64(len(b))
}

func (d *dissection) legible(b []byte, s *keptShape) string {
	switch {
	case d.hunting:
		return ""
	case !s.form.sealed(len(b)):
		return fmt.Sprintf("sealing makes no %d bytes of anything", len(b))
	}
	return legible(b)
}
