// Package tables writes the data of the reports as text tables, CSV, JSON or Markdown.
//
// A command fills Tables (for people, and for spreadsheets by CSV) and one value for JSON, and Write picks by the
// --format flag. What comes from files of strangers is made harmless for a terminal here, so that callers need not.
package tables

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Format says how Write writes; it is a pflag.Value for --format. The empty Format is Text.
type Format string

// The formats.
const (
	Text     Format = "table"
	CSV      Format = "csv"
	JSON     Format = "json"
	Markdown Format = "markdown"
)

// FormatUsage describes the --format flag.
const FormatUsage = "output format: table, csv, json or markdown"

// String is the format's name; the default is "table".
func (f *Format) String() string {
	if *f == "" {
		return string(Text)
	}
	return string(*f)
}

// Set takes one of the four names.
func (f *Format) Set(s string) error {
	known := []Format{Text, CSV, JSON, Markdown}
	if !slices.Contains(known, Format(s)) {
		return fmt.Errorf("unknown format %q, known are table, csv, json and markdown", s)
	}
	*f = Format(s)
	return nil
}

// Type names the flag's value in help texts.
func (f *Format) Type() string { return "format" }

// Table is one table. A Header of empty cells is not shown. Rows and Footer have as many cells as Header. RightAlign names the columns of numbers; shorter
// than Header means left for the rest.
type Table struct {
	Title      string
	Header     []string
	Rows       [][]string
	Footer     []string
	Notes      []string
	RightAlign []bool
}

// Write writes the tables, or asJSON where f is JSON (indented by two spaces). CSV has the header and rows of each
// table, without title, footer and notes, and an empty line between tables.
func Write(w io.Writer, f Format, ts []Table, asJSON any) error {
	switch f {
	case "", Text:
		return writeAll(w, ts, writeText)
	case Markdown:
		return writeAll(w, ts, writeMarkdown)
	case CSV:
		return writeAll(w, ts, writeCSV)
	case JSON:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(asJSON)
	}
	return fmt.Errorf("unknown format %q", f)
}

func writeAll(w io.Writer, ts []Table, write func(io.Writer, Table) error) error {
	for i, t := range ts {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := write(w, t.printable()); err != nil {
			return err
		}
	}
	return nil
}

func writeText(w io.Writer, t Table) error {
	if t.Title != "" {
		if _, err := fmt.Fprintf(w, "%s\n\n", t.Title); err != nil {
			return err
		}
	}
	lines := tw.Lines{ShowHeaderLine: tw.On, ShowFooterLine: tw.On, ShowTop: tw.Off, ShowBottom: tw.Off}
	separators := tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off, ShowHeader: tw.Off, ShowFooter: tw.Off}
	blueprint := renderer.NewBlueprint(tw.Rendition{
		Borders:  tw.BorderNone,
		Symbols:  tw.NewSymbols(tw.StyleLight),
		Settings: tw.Settings{Lines: lines, Separators: separators},
	})
	if err := render(w, t, blueprint); err != nil {
		return err
	}
	for i, note := range t.Notes {
		if i == 0 && len(t.Header) > 0 {
			note = "\n" + note
		}
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

func writeMarkdown(w io.Writer, t Table) error {
	if t.Title != "" {
		if _, err := fmt.Fprintf(w, "### %s\n\n", t.Title); err != nil {
			return err
		}
	}
	escape := strings.NewReplacer("|", `\|`, "<", "&lt;").Replace
	if len(t.Footer) > 0 {
		bold := make([]string, len(t.Footer))
		for i, cell := range t.Footer {
			if cell != "" {
				bold[i] = "**" + cell + "**"
			}
		}
		t.Rows = append(slices.Clone(t.Rows), bold)
		t.Footer = nil
	}
	for i := range t.Rows {
		for j := range t.Rows[i] {
			t.Rows[i][j] = escape(t.Rows[i][j])
		}
	}
	if err := render(w, t, renderer.NewMarkdown()); err != nil {
		return err
	}
	for _, note := range t.Notes {
		if _, err := fmt.Fprintf(w, "\n%s\n", escape(note)); err != nil {
			return err
		}
	}
	return nil
}

func writeCSV(w io.Writer, t Table) error {
	c := csv.NewWriter(w)
	if len(t.Header) == 0 {
		return nil
	}
	if !t.headless() {
		if err := c.Write(t.Header); err != nil {
			return err
		}
	}
	return c.WriteAll(t.Rows)
}

// render lets tablewriter lay out header, rows and footer, and drops the spaces that it leaves at the ends of lines.
func render(w io.Writer, t Table, r tw.Renderer) error {
	if len(t.Header) == 0 {
		return nil
	}
	align := make([]tw.Align, len(t.Header))
	for i := range align {
		align[i] = tw.AlignLeft
		if i < len(t.RightAlign) && t.RightAlign[i] {
			align[i] = tw.AlignRight
		}
	}
	cells := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Alignment:  tw.CellAlignment{PerColumn: align},
		Padding:    tw.CellPadding{Global: tw.Padding{Left: "", Right: "  ", Overwrite: true}},
	}
	if _, markdown := r.(*renderer.Markdown); markdown {
		cells.Padding = tw.CellPadding{}
	}
	var buffer bytes.Buffer
	table := tablewriter.NewTable(&buffer, tablewriter.WithRenderer(r),
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells, Footer: cells}))
	if _, markdown := r.(*renderer.Markdown); markdown || !t.headless() { // Markdown has no tables without
		table.Header(t.Header)
	}
	if err := table.Bulk(t.Rows); err != nil {
		return err
	}
	if len(t.Footer) > 0 {
		table.Footer(t.Footer)
	}
	if err := table.Render(); err != nil {
		return err
	}
	var lines []string
	widest := 0
	for line := range strings.Lines(buffer.String()) {
		line = strings.TrimRight(line, " \n")
		lines = append(lines, line)
		if !isRule(line) {
			widest = max(widest, twwidth.Width(line))
		}
	}
	for _, line := range lines {
		if isRule(line) { // as wide as what it parts
			line = strings.Repeat(rule, widest)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// rule is what lines between header, rows and footer are drawn of.
const rule = "─"

func isRule(line string) bool { return line != "" && strings.Trim(line, rule) == "" }

// headless says that there is nothing to show in the header.
func (t Table) headless() bool {
	return !slices.ContainsFunc(t.Header, func(cell string) bool { return cell != "" })
}

// printable copies the table with every rune that a terminal or a line-based format would obey replaced.
func (t Table) printable() Table {
	row := func(cells []string) []string {
		out := make([]string, len(cells))
		for i, cell := range cells {
			out[i] = printable(cell)
		}
		return out
	}
	out := Table{Title: printable(t.Title), Header: row(t.Header), Footer: row(t.Footer), Notes: row(t.Notes), RightAlign: t.RightAlign}
	for _, cells := range t.Rows {
		out.Rows = append(out.Rows, row(cells))
	}
	return out
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
