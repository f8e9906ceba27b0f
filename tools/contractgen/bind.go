package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi/abigen"
)

// bind writes the bindings of the abi.json in dir beside it: the package is named for the directory, the
// contract is typeName. One package for each contract, because abigen names the results of a function without
// the contract's name, and two contracts share a function.
func bind(dir, typeName string) error {
	abi, err := os.ReadFile(filepath.Join(dir, "abi.json"))
	if err != nil {
		return err
	}
	code, err := abigen.BindV2([]string{typeName}, []string{string(abi)}, []string{""}, filepath.Base(dir), nil, nil)
	if err != nil {
		return fmt.Errorf("abigen: %s: %w", dir, err)
	}
	// The one text of abigen that breaks the rule for errors.
	code = strings.ReplaceAll(code, `errors.New("Unknown error")`, `errors.New("unknown error")`)
	return os.WriteFile(filepath.Join(dir, "bindings.gen.go"), []byte(code), 0o644)
}
