package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// writePages returns client/pages.gen.go: an iterator for each operation that pages.
func writePages(doc *description, ops []operation) (string, error) {
	var b strings.Builder
	b.WriteString(header + "package client\n\nimport (\n\t\"context\"\n\t\"iter\"\n\n\t\"github.com/phala-go/phala/openapi\"\n)\n\n")
	for _, o := range ops {
		if o.Page == "" {
			continue
		}
		if err := writePager(&b, doc, o); err != nil {
			return "", fmt.Errorf("%s: %w", o.name(), err)
		}
	}
	return b.String(), nil
}

// allMethod names the iterator of a listing method: List becomes All, ListNodes becomes AllNodes.
func allMethod(method string) string {
	for _, verb := range []string{"List", "Get"} {
		if noun, ok := strings.CutPrefix(method, verb); ok {
			return "All" + noun
		}
	}
	return "All" + method
}

func writePager(b *strings.Builder, doc *description, o operation) error {
	answer, err := o.answerType()
	if err != nil {
		return err
	}
	item, read, err := doc.partOf(o, answer)
	if err != nil {
		return err
	}
	start, turn, set, err := o.turning(doc)
	if err != nil {
		return err
	}

	args, passed := []string{"ctx context.Context"}, []string{"ctx"}
	for _, p := range o.inPath() {
		args = append(args, argument(p.Name)+" string")
		passed = append(passed, argument(p.Name))
	}
	args = append(args, "params *openapi."+o.OperationID+"Params", "opts ...CallOption")
	passed = append(passed, "&p", "opts...")

	name := allMethod(o.Method)
	comment(b, fmt.Sprintf("%s yields the items of all pages of [%sService.%s], starting at the one that params select. "+
		"See the package comment on lists.", name, o.Service, o.Method))
	fmt.Fprintf(b, "func (s *%sService) %s(%s) iter.Seq2[%s, error] {\n", o.Service, name, strings.Join(args, ", "), item)
	fmt.Fprintf(b, "\tstart := copied(params)\n")
	fmt.Fprintf(b, "\treturn paged(ctx, s.client, op%s, opts, %s, %s,\n", o.OperationID, start, turn)
	fmt.Fprintf(b, "\t\tfunc(ctx context.Context, at place) (%s, error) {\n\t\t\tp := start\n%s\t\t\treturn s.%s(%s)\n\t\t},\n",
		answer, set, o.Method, strings.Join(passed, ", "))
	fmt.Fprintf(b, "\t\tfunc(a %s) part[%s] {\n\t\t\treturn part[%s]{%s}\n\t\t})\n}\n\n", answer, item, item, read)
	return nil
}

// turning returns the Go of a pagination style: where a list begins, how it turns, and how a page is asked for.
func (o operation) turning(doc *description) (start, turn, set string, err error) {
	switch o.Page {
	case "page-pages", "page-total_pages":
		return "atNumber(start.Page)", "byNumber", "\t\t\tp.Page = &at.number\n", nil
	case "cursor":
		turn = "byCursor"
		if doc.page(o).has("pagination") {
			turn = "byFlaggedCursor"
		}
		return "atCursor(start.Cursor)", turn, "\t\t\tif at.cursor != \"\" {\n\t\t\t\tp.Cursor = &at.cursor\n\t\t\t}\n", nil
	case "limit-offset", "skip-limit":
		offset := "Offset"
		if o.Page == "skip-limit" {
			offset = "Skip"
		}
		usual, most, err := o.limits()
		if err != nil {
			return "", "", "", err
		}
		return fmt.Sprintf("atOffset(start.%s, start.Limit, %d, %d)", offset, usual, most), "byOffset",
			fmt.Sprintf("\t\t\tp.%s, p.Limit = &at.offset, &at.limit\n", offset), nil
	}
	return "", "", "", fmt.Errorf("x-phala-page %q is no pagination style that the generator knows", o.Page)
}

// limits are the documented default and maximum of the limit; without a maximum only the default is sure to
// be served.
func (o operation) limits() (usual, most int, err error) {
	limit := o.parameter("limit").Schema
	if err := json.Unmarshal(limit.Default, &usual); err != nil {
		return 0, 0, fmt.Errorf("the default of the limit: %w", err)
	}
	if limit.Maximum == nil {
		return usual, usual, nil
	}
	return usual, *limit.Maximum, nil
}

// pageItems is the documented maximum of the items of a page, or 0 if the operation does not page.
func (o operation) pageItems() int {
	if o.Page == "" {
		return 0
	}
	for _, name := range []string{"page_size", "limit"} {
		s := o.parameter(name).Schema
		if s.Maximum != nil {
			return *s.Maximum
		}
		var usual int
		if json.Unmarshal(s.Default, &usual) == nil && usual > 0 {
			return usual
		}
	}
	return 0
}

// page is the schema of a page, or an empty one where the answer is a bare list.
func (d *description) page(o operation) pageSchema {
	_, media := o.success()
	ref := media["application/json"].Schema.Ref
	return d.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]]
}

// partOf returns the Go type of an item, and the fields of a part as they are read from an answer a.
func (d *description) partOf(o operation, answer string) (item, read string, err error) {
	if item, ok := strings.CutPrefix(answer, "[]"); ok {
		return item, "items: a", nil
	}
	page := d.page(o)
	for _, p := range page.fields() {
		if p.isArray() {
			if item != "" {
				return "", "", fmt.Errorf("the page has two lists")
			}
			if item, err = valueType(*p.Items); err != nil {
				return "", "", err
			}
			read = "items: a." + goName(p.name)
		}
	}
	if item == "" {
		return "", "", fmt.Errorf("the page has no list")
	}
	known := []struct{ from, to string }{
		{"page", "number"}, {"page_size", "size"}, {"pages", "pages"}, {"total_pages", "pages"}, {"total", "total"}, {"next_cursor", "next"},
	}
	for _, k := range known {
		if page.has(k.from) {
			read += ", " + k.to + ": a." + goName(k.from)
		}
	}
	if page.has("pagination") {
		read += ", next: a.Pagination.NextCursor, more: a.Pagination.HasMore"
	}
	return item, read, nil
}

// pageSchema is an object schema as far as pages need it.
type pageSchema struct {
	Properties map[string]schema `json:"properties"`
}

type namedSchema struct {
	schema
	name string
}

func (p pageSchema) has(name string) bool {
	_, ok := p.Properties[name]
	return ok
}

func (p pageSchema) fields() []namedSchema {
	var fields []namedSchema
	for name, s := range p.Properties {
		fields = append(fields, namedSchema{s, name})
	}
	return fields
}

func (s schema) isArray() bool {
	var kind string
	return json.Unmarshal(s.Type, &kind) == nil && kind == "array"
}

// goName is the Go name of a field of a page: next_cursor becomes NextCursor. None of them has an initialism.
func goName(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
