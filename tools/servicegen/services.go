package main

import (
	"fmt"
	"slices"
	"strings"
)

// writeServices returns the source of client/services.gen.go: a field for each service.
func writeServices(services []string) string {
	var b strings.Builder
	b.WriteString(header + "package client\n\n")
	b.WriteString("// Services contains the operations of the API, a field for each group of them.\ntype Services struct {\n")
	for _, s := range services {
		fmt.Fprintf(&b, "\t%s *%sService\n", s, s)
	}
	b.WriteString("}\n\nfunc newServices(c *Client) Services {\n\treturn Services{\n")
	for _, s := range services {
		fmt.Fprintf(&b, "\t\t%s: &%sService{client: c},\n", s, s)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// writeService returns the source of the file of a service: its type, and a method for each of its operations.
func writeService(service string, ops []operation) (string, error) {
	var b strings.Builder
	b.WriteString(header + "package client\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\n\t\"github.com/phala-go/phala/openapi\"\n)\n\n")
	comment(&b, fmt.Sprintf("%sService contains the operations %s. It is the field %s of a [Client].", service, serviceTopic(service), service))
	fmt.Fprintf(&b, "type %sService struct {\n\tclient *Client\n}\n\n", service)
	fmt.Fprintf(&b, "// Format writes the name of the service, whatever the verb.\nfunc (s %sService) Format(f fmt.State, _ rune) { s.client.formatService(f, %q) }\n\n", service, service)
	for _, o := range ops {
		if o.Service != service {
			continue
		}
		if err := writeMethod(&b, o); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func servicesOf(ops []operation) []string {
	var services []string
	for _, o := range ops {
		if !slices.Contains(services, o.Service) {
			services = append(services, o.Service)
		}
	}
	return services
}

func serviceTopic(service string) string {
	topics := map[string]string{
		"Account":       "about the account behind the API key",
		"Apps":          "on apps: one or more CVMs under one app id",
		"Attestations":  "of the public registry of TDX quotes, which needs no API key",
		"CVMs":          "on confidential VMs",
		"InstanceTypes": "that list the sizes a CVM can have",
		"KMS":           "on key management services",
		"Nodes":         "that list where a CVM can run",
		"OSImages":      "that list the guest images",
		"SSHKeys":       "on the account's SSH keys",
		"Webhooks":      "on the workspace's webhooks",
		"Workspaces":    "on workspaces",
	}
	if topic, ok := topics[service]; ok {
		return topic
	}
	return "on " + service
}

func writeMethod(b *strings.Builder, o operation) error {
	answer, err := o.answerType()
	if err != nil {
		return err
	}
	body, err := o.jsonBody()
	if err != nil {
		return err
	}
	text := o.textBody()
	optional := o.RequestBody != nil && !o.RequestBody.Required

	args := []string{"ctx context.Context"}
	var segments []string
	for _, p := range o.inPath() {
		args = append(args, argument(p.Name)+" string")
		segments = append(segments, segment(p.Name))
	}
	switch {
	case text != "":
		args = append(args, "text string")
	case body != "" && optional:
		args = append(args, "body *"+body)
	case body != "":
		args = append(args, "body "+body)
	}
	if o.hasParams() {
		args = append(args, "params *openapi."+o.OperationID+"Params")
	}
	args = append(args, "opts ...CallOption")

	request := "openapi.New" + o.OperationID + "Request"
	built := []string{"s.client.server", strings.Join(segments, ", ")}
	if o.hasParams() {
		built = append(built, "params")
	}
	switch {
	case text != "":
		request += "WithBody"
		built = append(built, fmt.Sprintf("textMedia(text, %q)", text), "textBody(text)")
	case body != "":
		built = append(built, "body")
	}
	result, send := "error", "exec"
	if answer != "" {
		result, send = "("+answer+", error)", "send["+answer+"]"
	}
	writeDoc(b, o, body != "" && optional, text != "")
	fmt.Fprintf(b, "func (s *%sService) %s(%s) %s {\n", o.Service, o.Method, strings.Join(args, ", "), result)
	fmt.Fprintf(b, "\treq, err := %s(%s)\n", request, join(built...))
	fmt.Fprintf(b, "\treturn %s(ctx, s.client.call(op%s, opts), req, err)\n}\n\n", send, o.OperationID)
	return nil
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func writeDoc(b *strings.Builder, o operation, optionalBody, text bool) {
	summary := strings.ToLower(o.Summary[:1]) + o.Summary[1:]
	comment(b, o.Method+" "+strings.TrimSuffix(summary, ".")+".")
	b.WriteString("//\n")
	comment(b, o.Description)
	switch {
	case text:
		b.WriteString("//\n")
		comment(b, "An empty text is an error, unless the parameters commit a prepared change: then no body is sent.")
	case optionalBody:
		b.WriteString("//\n")
		comment(b, "The body may be nil.")
	}
	b.WriteString("//\n")
	facts := fmt.Sprintf("%s %s, retry class %s", o.Verb, strings.TrimPrefix(o.Path, basePath), o.Retry)
	if o.Version != "" {
		facts += ", API version " + o.Version
	}
	if o.Key == "optional" {
		facts += ", API key optional"
	}
	if o.Public {
		facts += ", no API key needed"
	}
	comment(b, facts+".")
}

// comment writes s as comment lines of at most 110 characters.
func comment(b *strings.Builder, s string) {
	line := "//"
	for word := range strings.FieldsSeq(s) {
		if len(line)+1+len(word) > 110 && line != "//" {
			b.WriteString(line + "\n")
			line = "//"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
