package lut

// index finds the entries of a key without passing over all of them. It belongs to the entries that a table was read with:
// a table whose entries are others by now, or that was built, is searched entry by entry.
type index struct {
	entries []Entry          // those that it is of
	byKey   map[string][]int // places in entries
}

func newIndex(entries []Entry) *index {
	x := &index{entries, make(map[string][]int, len(entries))}
	for i := range entries {
		x.byKey[entries[i].Key] = append(x.byKey[entries[i].Key], i)
	}
	return x
}

// of are the entries of a key, by their places; false where the index cannot say: it is that of other entries, one of them
// has got another key, or it knows none.
func (x *index) of(key string, entries []Entry) ([]int, bool) {
	if x == nil || len(entries) == 0 || len(entries) != len(x.entries) || &entries[0] != &x.entries[0] {
		return nil, false
	}
	places := x.byKey[key]
	for _, i := range places {
		if entries[i].Key != key {
			return nil, false
		}
	}
	return places, len(places) > 0
}

// entriesOf calls visit for the entries of a key, in their order, until it returns false.
func (t *Table) entriesOf(key string, visit func(*Entry) bool) {
	if places, ok := t.index.of(key, t.Entries); ok {
		for _, i := range places {
			if !visit(&t.Entries[i]) {
				return
			}
		}
		return
	}
	for i := range t.Entries {
		if t.Entries[i].Key == key && !visit(&t.Entries[i]) {
			return
		}
	}
}
