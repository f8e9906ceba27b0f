// Command bench measures the SDK against its baselines. Without a command it measures everything, writes the table of
// docs/performance.md and what it measured to measured.json; "plots" draws docs/plots from that; "check" measures
// the ratios of the main rows and compares them with band.json; "record" writes that from measured.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "../..", "where the module is")
	count := flag.Int("count", 5, "how often each row is measured")
	flag.Parse()
	if err := run(*root, *count, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, count int, command string) error {
	here := filepath.Join(root, "tools", "bench")
	measured, band := filepath.Join(here, "measured.json"), filepath.Join(here, "band.json")
	switch command {
	case "":
		m, err := measure(root, count)
		if err != nil {
			return err
		}
		if err := m.writeTable(filepath.Join(root, "docs", "performance.md")); err != nil {
			return err
		}
		return writeJSON(measured, m)
	case "plots", "record":
		var m measurement
		if err := readJSON(measured, &m); err != nil {
			return err
		}
		if command == "plots" {
			return m.plot(filepath.Join(root, "docs", "plots"))
		}
		b, err := m.record()
		if err != nil {
			return err
		}
		return writeJSON(band, b)
	case "check":
		var b bands
		if err := readJSON(band, &b); err != nil {
			return err
		}
		return b.check(root)
	}
	return fmt.Errorf("unknown command %q, want plots, check, record or none", command)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
