package lut

import "densenas/internal/files"

// checkLists refuses lists that are longer than any in a table before they are allocated: an element can take ten times as
// much memory as in its file. A list within a list is one of flags. What is no JSON is left to the decoder.
func checkLists(name string, data []byte) error {
	type level struct {
		list   bool
		within int // lists around it
		commas int
	}
	levels := make([]level, 1, 64)
	for i := 0; i < len(data); i++ {
		top := &levels[len(levels)-1]
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if len(levels) == cap(levels) {
				return nil // too deep for a table, and for the decoder
			}
			inner := level{list: data[i] == '[', within: top.within}
			if top.list {
				inner.within++
			}
			levels = append(levels, inner)
		case ']', '}':
			if len(levels) == 1 {
				return nil
			}
			levels = levels[:len(levels)-1]
		case ',':
			if !top.list {
				continue
			}
			most := MaxEntries
			if top.within > 0 {
				most = maxFlags
			}
			if top.commas++; top.commas >= most {
				return files.ErrorAt(name, data, int64(i), "a list of more than %d elements, the most that a table has at this place; is it the right file?", most)
			}
		}
	}
	return nil
}
