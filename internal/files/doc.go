// Package files holds what every file format of the project shares: whole or no writing, bounded reading, and strict
// decoding whose errors name file, line and column.
//
// Files come from strangers. Reading goes bytes (ReadBounded) → kind and schema version (Header) → strict decoding
// (DecodeJSON, DecodeYAML) → the format's own checks of ranges. Refused here: files over the caller's limit, unknown,
// doubled, missing or misspelled fields, null or a value of another type where the format has none, text after the value,
// nesting deeper than 64, and in YAML anchors, aliases, tags and merge keys.
//
// All errors about the content are exit.BadInput.
package files
