package phalatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/phala-go/phala/openapi"
)

// description is the OpenAPI description, with the schemas that requests are held against. It is the same
// for all servers of a process; each schema is compiled when it is first needed.
type description struct {
	paths map[string]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

const documentURL = "phalatest:openapi.json"

// readDescription reads the description once in a process: it takes some milliseconds.
var readDescription = sync.OnceValues(func() (*description, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(openapi.Document()))
	if err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	closeObjects(doc)
	acceptNulls(doc)
	acceptDocuments(doc)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, doc); err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	paths, _ := doc.(map[string]any)["paths"].(map[string]any)
	return &description{paths: paths, compiler: compiler, compiled: map[string]*jsonschema.Schema{}}, nil
})

// closeObjects refuses members that no schema names. The description leaves that open, because it also
// serves to read the answers of an API that grows.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, hasProperties := node["properties"].(map[string]any)
		if _, open := node["additionalProperties"]; hasProperties && !open {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// acceptNulls lets null stand where the published description of the API lets it; everywhere else a null is refused. Our
// description leaves these nulls out, because nobody needs to send one.
func acceptNulls(doc any) {
	document := []string{
		"bash_script", "default_gateway_domain", "docker_compose_file", "init_script", "pre_launch_script", "salt", "storage_fs",
	}
	for name, members := range map[string][]string{
		"AppCompose":          document,
		"CheckAllowedRequest": {"node_id", "device_id", "chain_id"}, "CheckCVMAllowedRequest": {"compose_hash", "node_id", "device_id"},
		"CommitComposeUpdateRequest": {"encrypted_env", "env_keys", "update_env_vars"},
		"CreateCVMRequest":           {"encrypted_env", "kms_id", "contract_address", "deployer_address", "env_keys"},
		"CreateInstanceRequest": {
			"teepod_id", "node_id", "encrypted_env", "compose_hash", "docker_compose_file", "pre_launch_script", "token", "transaction_hash",
		},
		"CreateWebhookRequest":          {"name", "secret"},
		"CreateWorkloadRequest":         {"scheduled_delete_at"},
		"ProvisionComposeUpdateRequest": append([]string{"update_env_vars"}, document...),
		"ProvisionElizaRequest":         {"teepod_id", "image", "kms_id"},
		"ProvisionRequest": {
			"instance_type", "vcpu", "memory", "disk_size", "image", "prefer_dev", "teepod_id", "region", "kms_id", "kms", "nonce", "app_id",
			"ports", "encrypted_env", "user_config", "gpus", "experimental_vpc_server_app_id",
		},
		"RedeployRevisionRequest":    {"vm_uuids"},
		"RefreshInstanceIDsRequest":  {"cvm_ids"},
		"ReplicateRequest":           {"teepod_id", "node_id", "encrypted_env", "compose_hash"},
		"ScheduleDeleteRequest":      {"scheduled_delete_at"},
		"SubmitComposeFileRequest":   {"encrypted_env", "env_keys"},
		"UpdateEnvsRequest":          {"env_keys", "compose_hash", "transaction_hash"},
		"UpdateNetworkConfigRequest": {"kms_urls", "gateway_urls"},
		"UpdateResourcesRequest":     {"vcpu", "memory", "disk_size", "instance_type", "allow_restart"},
		"UpdateWebhookRequest":       {"url", "events", "name", "enabled"},
		"UpdateCVMRequest": {
			"docker_compose_file", "pre_launch_script", "allowed_envs", "public_logs", "public_sysinfo", "public_tcbinfo", "encrypted_env",
			"user_config", "gpus", "vcpu", "memory", "disk_size", "image", "shutdown_timeout",
		},
	} {
		for _, m := range members {
			accept(doc, name, m, map[string]any{"type": "null"})
		}
	}
}

// acceptDocuments lets an app-compose document be what the platform takes and our types cannot hold: version 3 of the
// manifest, which is text, and a list of init scripts, which newer guests take.
func acceptDocuments(doc any) {
	for _, name := range []string{"AppCompose", "ProvisionComposeUpdateRequest"} {
		accept(doc, name, "manifest_version", map[string]any{"type": "string"})
		accept(doc, name, "init_script", map[string]any{"type": "array", "items": map[string]any{"type": "string"}})
	}
}

// accept lets a member of a schema be something else as well.
func accept(doc any, schema, name string, also map[string]any) {
	members := member(doc, "components", "schemas", schema, "properties")
	if was, known := members[name]; known {
		members[name] = map[string]any{"anyOf": []any{was, also}}
	}
}

// member is an object within others.
func member(doc any, path ...string) map[string]any {
	node, _ := doc.(map[string]any)
	for _, name := range path {
		node, _ = node[name].(map[string]any)
	}
	return node
}

// schema compiles what stands at a place in the description.
func (d *description) schema(at ...string) (*jsonschema.Schema, error) {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	pointer := ""
	for _, part := range at {
		pointer += "/" + escape.Replace(part)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.compiled[pointer]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + "#" + pointer)
	if err != nil {
		return nil, err
	}
	d.compiled[pointer] = s
	return s, nil
}

// mistake is where a request does not fit the description.
type mistake struct {
	loc  []any // as in a validation error of the API
	text string
	// unknown is a name that the description does not have. The API passes over these.
	unknown bool
}

// check holds a request against the description and gives all that is wrong with it.
func (d *description) check(c *call) ([]mistake, error) {
	operation, _ := d.paths[c.route.path].(map[string]any)[strings.ToLower(c.route.verb)].(map[string]any)
	if operation == nil {
		return nil, fmt.Errorf("%s is not in the description", c.route.operation)
	}
	wrong, err := d.checkParameters(c, operation)
	if err != nil {
		return nil, err
	}
	inBody, err := d.checkBody(c, operation)
	return append(wrong, inBody...), err
}

func (d *description) checkParameters(c *call, operation map[string]any) ([]mistake, error) {
	var wrong []mistake
	query := c.URL.Query()
	known := map[string]bool{}
	parameters, _ := operation["parameters"].([]any)
	for i, p := range parameters {
		p, _ := p.(map[string]any)
		name, _ := p["name"].(string)
		in, _ := p["in"].(string)
		var values []string
		switch in {
		case "query":
			known[name] = true
			values = query[name]
		case "header":
			values = c.Header[textproto.CanonicalMIMEHeaderKey(name)]
		default:
			continue // the router has taken it from the path
		}
		if len(values) == 0 {
			if p["required"] == true {
				wrong = append(wrong, mistake{loc: []any{in, name}, text: "Field required"})
			}
			continue
		}
		schema, err := d.schema("paths", c.route.path, strings.ToLower(c.route.verb), "parameters", strconv.Itoa(i), "schema")
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, mistakes(schema.Validate(parameterValue(p, values)), in, name)...)
	}
	for name := range query {
		if !known[name] {
			wrong = append(wrong, mistake{loc: []any{"query", name}, text: "unknown query parameter " + strconv.Quote(name), unknown: true})
		}
	}
	return wrong, nil
}

// parameterValue is the text of a parameter as the JSON value that its schema is about.
func parameterValue(parameter map[string]any, values []string) any {
	schema, _ := parameter["schema"].(map[string]any)
	switch schema["type"] {
	case "array":
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		return list
	case "integer", "number":
		if number := json.Number(values[0]); len(values) == 1 {
			if _, err := number.Float64(); err == nil {
				return number
			}
		}
	case "boolean":
		if b, err := strconv.ParseBool(values[0]); err == nil {
			return b
		}
	}
	return values[0]
}

func (d *description) checkBody(c *call, operation map[string]any) ([]mistake, error) {
	body, _ := operation["requestBody"].(map[string]any)
	content, _ := body["content"].(map[string]any)
	switch {
	case body == nil && len(c.body) == 0:
		return nil, nil
	case body == nil:
		return []mistake{{loc: []any{"body"}, text: "the operation takes no body", unknown: true}}, nil
	case len(c.body) == 0 && c.Header.Get("X-Compose-Hash") != "":
		return nil, nil // the second half of an update on chain, which consists of its headers
	case len(c.body) == 0 && body["required"] == true:
		return []mistake{{loc: []any{"body"}, text: "Field required"}}, nil
	case len(c.body) == 0:
		return nil, nil
	}
	media, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if _, known := content[media]; err != nil || !known {
		return []mistake{{loc: []any{"body"}, text: fmt.Sprintf("content type %q is none of %s", media, strings.Join(sortedKeys(content), ", "))}}, nil
	}
	switch media {
	case "application/json":
	case "multipart/form-data":
		if parameters["boundary"] == "" {
			return []mistake{{loc: []any{"body"}, text: "the multipart body has no boundary"}}, nil
		}
		return nil, nil
	default:
		return nil, nil // text
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.body))
	if err != nil {
		return []mistake{{loc: []any{"body"}, text: "JSON decode error: " + err.Error()}}, nil
	}
	schema, err := d.schema("paths", c.route.path, strings.ToLower(c.route.verb), "requestBody", "content", media, "schema")
	if err != nil {
		return nil, err
	}
	return mistakes(schema.Validate(value), "body"), nil
}

// mistakes lists what a validation found, each with its place. They name no values, which may be secret.
func mistakes(err error, loc ...any) []mistake {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	if len(invalid.Causes) > 0 {
		var all []mistake
		for _, cause := range invalid.Causes {
			all = append(all, mistakes(cause, loc...)...)
		}
		return all
	}
	place := slices.Clone(loc)
	for _, segment := range invalid.InstanceLocation {
		place = append(place, segment)
	}
	switch k := invalid.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return []mistake{{loc: place, text: "unknown field " + quoted(k.Properties), unknown: true}}
	case *kind.Pattern:
		return []mistake{{loc: place, text: "does not match " + k.Want}}
	case *kind.Format:
		return []mistake{{loc: place, text: "is no " + k.Want}}
	default:
		return []mistake{{loc: place, text: k.LocalizedString(message.NewPrinter(language.English))}}
	}
}

func quoted(names []string) string {
	slices.Sort(names)
	for i, n := range names {
		names[i] = strconv.Quote(n)
	}
	return strings.Join(names, ", ")
}

// fits complains about a request that does not fit the description, and gives the answer to one that the
// API would refuse.
func (s *Server) fits(c *call) (bad answer, ok bool) {
	wrong, err := s.described.check(c)
	if err != nil {
		s.wrong("%s: %v", c.route.operation, err)
		return plain(http.StatusInternalServerError, err.Error()), false
	}
	var details []object
	for _, m := range wrong {
		s.wrong("%s: the request does not fit the description: %s: %s", c.route.operation, place(m.loc), m.text)
		if !m.unknown {
			details = append(details, object{"loc": m.loc, "msg": m.text, "type": "value_error"})
		}
	}
	if details == nil {
		return answer{}, true
	}
	return answer{status: http.StatusUnprocessableEntity, body: object{"detail": details}}, false
}

func place(loc []any) string {
	parts := make([]string, len(loc))
	for i, l := range loc {
		parts[i] = fmt.Sprint(l)
	}
	return strings.Join(parts, ".")
}
