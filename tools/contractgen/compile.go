package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// compile runs the pinned compiler over the Solidity sources. It works on a copy, so that the checkout stays
// free of node_modules.
func compile(sources, out string) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing: the test contracts are compiled by solc from npm; install node 18 or newer with npm (Debian: apt-get install nodejs npm)", program)
		}
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "contractgen")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.CopyFS(work, os.DirFS(sources)); err != nil {
		return err
	}
	if err := run(work, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"); err != nil {
		return err
	}
	return run(work, "node", "compile.mjs", out)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, output)
	}
	return nil
}
