package main

import (
	"bytes"
	"regexp"
	"strings"
)

var (
	namedComment = regexp.MustCompile(`^(\t*)// (\w+) ([A-Z"0-9-].*)$`)
	article      = regexp.MustCompile(`^(A|An|The|One) `)
	plural       = regexp.MustCompile(`^The (\w+ |\w+-\w+ )?(\w*[a-hj-rtv-z]s)( |\.)`)
)

// tidyComments rewrites the comments that oapi-codegen writes, which put a name before a description whatever its
// grammar. The comment of a type becomes a sentence, "CVM is a confidential VM"; that of a field is the description
// alone. It drops the package comment, which doc.go has.
func tidyComments(source []byte) []byte {
	lines := strings.Split(string(source), "\n")
	var out bytes.Buffer
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "// Package openapi provides "):
			continue
		case line == "//" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "// Code generated "):
			continue
		case strings.HasPrefix(line, "// Defines values for "):
			line = "// The values of " + strings.TrimPrefix(line, "// Defines values for ")
		case strings.HasPrefix(strings.TrimLeft(line, "\t"), "// Deprecated: ") && i > 0 && strings.TrimLeft(lines[i-1], "\t") != "//":
			out.WriteString(line[:strings.Index(line, "//")] + "//\n")
		}
		if m := namedComment.FindStringSubmatch(line); m != nil && declares(lines[i+1:], m[1], m[2]) {
			writeTidy(&out, m[1], m[2], m[3])
			continue
		}
		out.WriteString(line)
		if i < len(lines)-1 {
			out.WriteString("\n")
		}
	}
	return out.Bytes()
}

// declares reports whether the first of lines that is no comment declares name.
func declares(lines []string, indent, name string) bool {
	for _, line := range lines {
		if strings.HasPrefix(strings.TrimLeft(line, "\t"), "//") {
			continue
		}
		if indent == "" {
			return strings.HasPrefix(line, "type "+name+" ")
		}
		return strings.HasPrefix(line, indent+name+" ")
	}
	return false
}

func writeTidy(out *bytes.Buffer, indent, name, text string) {
	if indent == "" {
		if first := article.FindString(text); first != "" {
			verb := "is "
			if plural.MatchString(text) {
				verb = "contains "
			}
			text = verb + strings.ToLower(first) + text[len(first):]
		}
		text = name + " " + text
	}
	var b strings.Builder
	comment(&b, text)
	for line := range strings.Lines(b.String()) {
		out.WriteString(indent + line)
	}
}
