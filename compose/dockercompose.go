package compose

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
)

// CheckDockerCompose returns an error if a text is not a docker-compose file: a path to one, no YAML, no mapping,
// or a mapping without services. It does not check the services; package inspect does.
func CheckDockerCompose(text string) error {
	if looksLikePath(text) {
		return fmt.Errorf("docker-compose file: %.80q looks like a path; did you mean the file's content?", text)
	}
	documents, err := parseYAML(text)
	if err != nil {
		return err
	}
	for _, document := range documents {
		if document.kind != yaml.MappingNode {
			return &yamlError{document.line, "want a mapping with services"}
		}
		if services := document.get("services"); services != nil && services.kind == yaml.MappingNode && len(services.items) > 0 {
			return nil
		}
	}
	return errors.New("docker-compose file: it has no services")
}

// checkScript returns an error if a script is a path to one.
func checkScript(member, text string) error {
	if looksLikePath(text) {
		return fmt.Errorf("app-compose: %s: %.80q looks like a path; did you mean the file's content?", member, text)
	}
	return nil
}

// looksLikePath reports whether a text is one word that ends as the names of compose files and scripts do.
func looksLikePath(text string) bool {
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return false
	}
	switch path.Ext(text) {
	case ".yml", ".yaml", ".json", ".sh", ".bash", ".txt":
		return true
	}
	return false
}
