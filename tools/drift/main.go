// Command drift compares a published OpenAPI description of the cloud with ours, by path and field, and names the Go
// identifiers that a difference touches. It exits with 1 if there is one.
//
//	go -C tools run ./drift -root .. -published /path/to/openapi.json [-before /path/to/older.json]
//
// Ours describes more than is published: operations that official tools use, and fields that answers have. With -before, the
// published description that ours was last compared with, only what is new since then is printed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("drift: ")
	root := flag.String("root", ".", "the root of the repository")
	published := flag.String("published", "", "the published description, a JSON file")
	before := flag.String("before", "", "an older published description; what differs from it as well is not printed")
	flag.Parse()
	if *published == "" {
		log.Fatal("name the published description: -published FILE")
	}
	n, err := run(*root, *published, *before)
	if err != nil {
		log.Fatal(err)
	}
	if n > 0 {
		os.Exit(1)
	}
}

func run(root, published, before string) (int, error) {
	ours, err := readDocument(filepath.Join(root, "openapi", "openapi.json"))
	if err != nil {
		return 0, err
	}
	names, err := readGoNames(filepath.Join(root, "openapi", "models.gen.go"))
	if err != nil {
		return 0, err
	}
	theirs, err := readDocument(published)
	if err != nil {
		return 0, err
	}
	found := compare(ours, theirs, names)
	if before != "" {
		older, err := readDocument(before)
		if err != nil {
			return 0, err
		}
		found = without(found, compare(ours, older, names))
	}
	for _, line := range found {
		fmt.Println(line)
	}
	fmt.Printf("%d differences\n", len(found))
	return len(found), nil
}

func readDocument(file string) (*document, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	doc := new(document)
	if err := json.Unmarshal(data, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Paths) == 0 {
		return nil, fmt.Errorf("%s has no paths", file)
	}
	return doc, nil
}

// without returns the lines that are not among known ones.
func without(lines, known []string) []string {
	old := make(map[string]bool, len(known))
	for _, line := range known {
		old[line] = true
	}
	var rest []string
	for _, line := range lines {
		if !old[line] {
			rest = append(rest, line)
		}
	}
	return rest
}
