package main

import (
	"errors"
	"strconv"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// costsOf is objective.FromTable for a space that the user named source.
func costsOf(source string, s *space.Space, table *lut.Table) (*objective.Costs, error) {
	c, err := objective.FromTable(s, table)
	return c, measuredBy(err, source, s, table)
}

// measuredBy lets the error of a table that lacks operations name the command that measures all of the space, by the name
// or path that the user gave: the space's own name is that of no file. Other errors stay as they are.
func measuredBy(err error, source string, s *space.Space, table *lut.Table) error {
	var missing lut.MissingError
	if !errors.As(err, &missing) {
		return err
	}
	missing.Command = table.ProfileCommand(command.Line("--space", source, "--resolution", strconv.Itoa(s.Resolution)))
	return exit.AsBadInput(missing)
}
