package wire

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// section returns the lines of docs/protocol.md from a heading to the next.
func section(t *testing.T, heading string) []string {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), "\n"+heading)
	if !ok {
		t.Fatalf("docs/protocol.md has no %q", heading)
	}
	lines := strings.Split(after, "\n")
	if end := slices.IndexFunc(lines[1:], func(l string) bool { return strings.HasPrefix(l, "#") }); end >= 0 {
		lines = lines[:end+1]
	}
	return lines
}

// tables returns the rows of the tables of a section, without their heads.
func tables(t *testing.T, heading string) (found [][][]string) {
	var rows [][]string
	for _, line := range append(section(t, heading), "") {
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 2 {
				found = append(found, rows[2:])
			}
			rows = nil
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	if len(found) == 0 {
		t.Fatalf("%q of docs/protocol.md has no table", heading)
	}
	return found
}

// The specification has the members that the code has, under the same keys.
func TestProtocolMembers(t *testing.T) {
	for _, c := range []struct {
		heading string
		table   int
		object  any
	}{
		{"### Key statement", 0, KeyStatement{}}, {"### Entry", 0, EntryHeader{}}, {"### Epoch body", 0, EpochBody{}}, {"### Vault head", 0, VaultHead{}},
		{"### Vault head", 1, HeadQuery{}}, {"### Slots", 0, Slots{}}, {"### Log-in challenge", 0, Challenge{}}, {"### Node document", 0, NodeDocument{}},
		{"### Root change", 0, RootChange{}}, {"### Tombstone", 0, Tombstone{}}, {"### Log leaf", 0, LogLeaf{}},
		{"### Recovery query", 0, RecoveryQuery{}},
	} {
		var want, got []string
		for i := range reflect.TypeOf(c.object).NumField() {
			f := reflect.TypeOf(c.object).Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
			line := key + " " + snake(f.Name)
			if strings.Contains(f.Tag.Get("cbor"), "omitempty") {
				line += " optional"
			}
			want = append(want, line)
		}
		for _, row := range tables(t, c.heading)[c.table] {
			keys, names := strings.Split(row[0], ", "), strings.Split(row[1], ", ")
			for i, key := range keys {
				line := key + " " + names[i]
				if strings.Contains(row[2], "optional") {
					line += " optional"
				}
				got = append(got, line)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the document has\n%q, the code\n%q", c.heading, got, want)
		}
	}
}

// The specification has the registry of labels, whole and once.
func TestProtocolLabels(t *testing.T) {
	var got []string
	for _, row := range tables(t, "## Labels and hashes")[0] {
		for _, label := range strings.Split(strings.Replace(row[1], "; reserved: ", ", ", 1), ", ") {
			got = append(got, "peerbrain/v1/"+label)
		}
	}
	var want []string
	for _, l := range Labels() {
		want = append(want, string(l))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%q, the code\n%q", got, want)
	}
}

// The specification lists the handles that are kept from registration.
func TestProtocolReserved(t *testing.T) {
	text := strings.Join(section(t, "## Names"), " ")
	_, after, _ := strings.Cut(text, "These handles cannot be registered: ")
	list, _, ok := strings.Cut(after, ".")
	got, want := strings.Fields(list), strings.Fields(reserved)
	slices.Sort(got)
	slices.Sort(want)
	if !ok || !slices.Equal(got, want) {
		t.Errorf("the document has\n%q, the code\n%q", got, want)
	}
}

// The kinds of errors and their statuses are those of the code.
func TestProtocolErrors(t *testing.T) {
	got := map[Kind]string{}
	for _, row := range tables(t, "## Errors")[0] {
		got[Kind(row[0])] = row[1]
	}
	want := map[Kind]string{}
	for k := range statuses {
		want[k] = fmt.Sprint(k.Status())
	}
	want[Tampered] = "not sent"
	if !maps.Equal(got, want) {
		t.Errorf("the document has\n%v, the code\n%v", got, want)
	}
}

// The numbers of the table of limits are those of the code.
func TestProtocolLimits(t *testing.T) {
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	want := map[string]string{
		"signed statement":                       fmt.Sprintf("%d bytes, signature included", MaxStatement),
		"node document":                          fmt.Sprintf("%d bytes", MaxNodeDocument),
		"changes of a node's root key":           fmt.Sprint(MaxRootChanges),
		"text of a post":                         fmt.Sprintf("%d bytes of UTF-8; sealed %d", MaxPost, MaxSealedPost),
		"epoch body":                             fmt.Sprintf("%d bytes; %d links", MaxEpochBody, MaxLinks),
		"page":                                   fmt.Sprintf("%d items or %d bytes", MaxPage, MaxPageBytes),
		"wrap":                                   fmt.Sprintf("%d bytes; %d in one epoch, %d in one upload", WrapSize, MaxWraps, MaxWrapBatch),
		"sealed self key, recovery slot":         fmt.Sprintf("%d bytes", SelfKeySize),
		"slots, sealed vault":                    fmt.Sprintf("%d, %d bytes", MaxSlots, MaxVault),
		"key statements of one account":          fmt.Sprint(MaxKeyChain),
		"offers named by one end":                fmt.Sprintf("%d; remembered as ended %d", MaxEndOffers, MaxEnded),
		"vault heads in one answer":              fmt.Sprint(MaxHeads),
		"sessions in one answer":                 fmt.Sprint(MaxSessions),
		"sync request":                           fmt.Sprintf("%d streams, %d readers", MaxSyncStreams, MaxSyncReaders),
		"notice":                                 fmt.Sprintf("%d streams", MaxSyncStreams),
		"device name":                            fmt.Sprintf("%d bytes", MaxDeviceName),
		"created ahead of a node's clock":        fmt.Sprintf("%d s", seconds(MaxSkew)),
		"challenge":                              fmt.Sprintf("%d s", seconds(ChallengeLifetime)),
		"request signature":                      fmt.Sprintf("%d s, at most %d s ahead", seconds(SignatureLifetime), seconds(SignatureAhead)),
		"statements waiting for a friend's node": fmt.Sprint(MaxFriendQueue),
		"proof that a key statement is in a log": fmt.Sprintf("%d bytes, the checkpoint included", MaxLogProof),
	}
	got := map[string]string{}
	for _, row := range tables(t, "## Limits")[0] {
		got[row[0]] = row[1]
	}
	for _, what := range slices.Sorted(maps.Keys(want)) {
		if got[what] != want[what] {
			t.Errorf("%s: the document has %q, the code %q", what, got[what], want[what])
		}
		delete(got, what)
	}
	if len(got) > 0 {
		t.Errorf("the document has limits that are not checked: %v", got)
	}
}

// So do the numbers in the tables of objects.
func TestProtocolNumbers(t *testing.T) {
	for _, c := range []struct {
		heading string
		want    []string
	}{
		{"## Conventions", []string{fmt.Sprintf("(%d)", MaxInteger), fmt.Sprintf("to %d (the end", int64(MaxTime))}},
		{"### Key statement", []string{fmt.Sprintf("bytes(%d) | the self key", SelfKeySize), fmt.Sprintf("at most %d statements", MaxKeyChain)}},
		{"### Entry", []string{fmt.Sprintf("at most %d for an epoch, %d else", MaxEpochBody, MaxSealedPost)}},
		{"### Epoch body", []string{fmt.Sprintf("at most %d; each", MaxLinks)}},
		{"### Offer, acceptance, end", []string{fmt.Sprintf("array of 1 to %d bytes(32)", MaxEndOffers), fmt.Sprintf("the %d offers that were ended latest", MaxEnded)}},
		{"### Vault head", []string{fmt.Sprintf("at most %d bytes) and the sealed", MaxSlots), fmt.Sprintf("(1 to %d bytes)", MaxVault)}},
		{"### Slots", []string{fmt.Sprintf("%d..1048576, %d..16, %d..4", DefaultArgon2.Memory, DefaultArgon2.Time, DefaultArgon2.Threads), fmt.Sprintf("bytes(%d) | the vault key", SelfKeySize)}},
	} {
		text := strings.Join(section(t, c.heading), " ")
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", c.heading, want)
			}
		}
	}
}
