package phalatest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/phala-go/phala/phalatest/internal/description"
)

// operationName is an operation as service and method, such as "CVMs.Create".
type operationName string

// route is one operation in the generated table, with the method that answers it: a missing one does not compile.
type route struct {
	operation   operationName
	verb        string
	path        string
	status      int
	answer      handler
	public      bool
	optionalKey bool
}

// handler answers one operation. The server is locked.
type handler func(*Server, *call) *response

func (r *route) described() description.Route { return description.Route{Verb: r.verb, Path: r.path} }

// withBody returns a handler that decodes the JSON body, which matches the description. An absent body is an empty
// object.
func withBody[T any](answer func(*Server, *call, T) *response) handler {
	return func(s *Server, c *call) *response {
		var body T
		if len(c.body) > 0 {
			if err := json.Unmarshal(c.body, &body); err != nil { // a value that the description allows and the type cannot hold
				s.failTest("%s: the body does not fit the description: %v", c.route.operation, err)
				return invalidField(err.Error(), "body")
			}
		}
		return answer(s, c, body)
	}
}

// resolve looks up what the path of a request names. With the API key of one workspace, the resources of another do not
// exist.
func (s *Server) resolve(c *call) (bad *response) {
	service, _, _ := strings.Cut(string(c.route.operation), ".")
	name := func(parameter string) string { return c.params[parameter] }
	switch service {
	case "CVMs":
		if id := name("cvm_id"); id != "" {
			if c.vm, bad = c.findCVM(id); bad != nil {
				return bad
			}
			c.app = c.vm.app
		}
	case "Apps":
		if id := name("app_id"); id != "" {
			if c.app = c.findApp(id); c.app == nil {
				return plainError(http.StatusNotFound, "App not found")
			}
		}
		if id := name("vm_uuid"); id != "" {
			if c.vm, bad = c.workspace.find(id); bad != nil {
				return bad
			}
			if c.vm.app != c.app {
				return cvmNotFound(id)
			}
		}
	case "KMS":
		if id := name("kms_id"); id != "" {
			if c.kms = s.service(id, c.contractKeyed()); c.kms == nil {
				return plainError(http.StatusNotFound, "KMS not found")
			}
		}
	case "Workspaces":
		if slug := name("slug"); slug != "" && slug != c.workspace.slug {
			return plainError(http.StatusNotFound, "Workspace not found")
		}
	case "Attestations":
		if checksum := name("checksum"); checksum != "" {
			if c.quote = s.quotes[strings.ToLower(checksum)]; c.quote == nil {
				return plainError(http.StatusNotFound, "No such quote")
			}
		}
	case "Webhooks":
		if id := name("webhook_id"); id != "" {
			if c.hook = first(s.webhooks.hooks, func(h *hook) bool { return h.workspace == c.workspace && h.id == id }); c.hook == nil {
				return plainError(http.StatusNotFound, "Webhook not found")
			}
		}
	}
	if id := name("revision_id"); id != "" {
		if c.revision = first(c.app.revisions, func(r *revision) bool { return r.id == id }); c.revision == nil {
			return plainError(http.StatusNotFound, "Revision not found")
		}
	}
	return nil
}
