//go:build !(cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64)))

package backends

import "errors"

// xlaMissing says why this program has no XLA; empty where it has.
func xlaMissing() string { return "this program was built without XLA" }

func openXLA(string, Options, string) (Backend, error) {
	return Backend{}, errors.New(xlaMissing())
}
