// Package docs holds the documents, and tests that hold them against the code.
package docs

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the README and every file here, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d documents, %v", len(paths), err)
	}
	texts := map[string]string{}
	for _, path := range append(paths, "../README.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(data)
	}
	return texts
}

// Every direct dependency stands in dependencies.md, at its version, with a reason and a licence.
func TestDependenciesAreListed(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json", "../go.mod").Output()
	if err != nil {
		t.Fatal(err)
	}
	var module struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
	}
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| (`.+`) \\| (.+) \\| (.{10,}) \\| (.+) \\|$").FindAllStringSubmatch(documents(t)["dependencies.md"], -1)
	direct := 0
	for _, need := range module.Require {
		if need.Indirect {
			continue
		}
		direct++
		// A pseudo-version without its hash says enough.
		version := regexp.MustCompile(`^(v0\.0\.0-\d{14})-[0-9a-f]{12}$`).ReplaceAllString(need.Version, "$1")
		found := false
		for _, row := range rows {
			found = found || strings.Contains(row[1], "`"+need.Path+"`") && strings.Contains(row[2], version)
		}
		if !found {
			t.Errorf("%s at %s is not listed", need.Path, version)
		}
	}
	if direct == 0 {
		t.Error("go.mod has no direct dependency: the test looks at the wrong thing")
	}
}

// Links to files lead to files.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	seen := 0
	for path, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			}
		}
	}
	if seen == 0 {
		t.Error("no link found: the test looks at the wrong thing")
	}
}

// What architecture.md names as `package.Name` or `Type.Method` is declared.
func TestNamesAreDeclared(t *testing.T) {
	declared := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := func(owner, name string) { declared[owner+"."+name] = true }
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name(file.Name.Name, d.Name.Name)
				if d.Recv != nil {
					of := d.Recv.List[0].Type
					if pointer, ok := of.(*ast.StarExpr); ok {
						of = pointer.X
					}
					if of, ok := of.(*ast.Ident); ok {
						name(of.Name, d.Name.Name)
						name(file.Name.Name, of.Name+"."+d.Name.Name)
					}
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						name(file.Name.Name, spec.Name.Name)
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							name(file.Name.Name, n.Name)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([A-Za-z]+(?:\\.[A-Z][A-Za-z]*)+)`").FindAllStringSubmatch(documents(t)["architecture.md"], -1)
	if len(names) < 20 {
		t.Errorf("%d names found: the test looks at the wrong thing", len(names))
	}
	for _, match := range names {
		if !declared[match[1]] {
			t.Errorf("%s is declared nowhere", match[1])
		}
	}
}
