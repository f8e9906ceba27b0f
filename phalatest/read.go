package phalatest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/phala-go/phala/openapi"
)

func getCVM(s *Server, _ *call, vm *cvm) answer {
	detail := s.describeCVM(vm)
	detail["compose_file"] = json.RawMessage(vm.provision.text)
	return ok(detail)
}

func listAllCVMs(s *Server, _ *call) answer {
	all := []object{}
	for _, vm := range s.cvms {
		all = append(all, s.describeCVM(vm))
	}
	return ok(all)
}

func listCVMs(s *Server, c *call) answer {
	items := []object{}
	for _, vm := range s.cvms {
		items = append(items, s.describeCVM(vm))
	}
	return page(c, items, 30, "items", "pages")
}

// page cuts one page out of items, in the dialect that names its members so.
func page(c *call, items []object, size int, itemsName, pagesName string) answer {
	number, bad, valid := c.number("page", 1, 1, 1<<30)
	if !valid {
		return bad
	}
	size, bad, valid = c.number("page_size", size, 1, 100)
	if !valid {
		return bad
	}
	from := min((number-1)*size, len(items))
	return ok(object{
		itemsName: items[from:min(from+size, len(items))], "total": len(items), "page": number, "page_size": size,
		pagesName: (len(items) + size - 1) / size,
	})
}

// getComposeFile gives the app-compose as JSON, with a member that only the API adds, or its exact text.
func getComposeFile(_ *Server, c *call, vm *cvm) answer {
	if c.URL.Query().Get("raw") != "" {
		return text("text/plain; charset=utf-8", string(vm.provision.text))
	}
	return answer{status: http.StatusOK, raw: vm.provision.text, media: "application/json"}
}

func getDockerCompose(_ *Server, _ *call, vm *cvm) answer {
	return text("text/yaml", deref(vm.provision.app.DockerComposeFile))
}

func getPreLaunchScript(_ *Server, _ *call, vm *cvm) answer {
	return text("text/plain", deref(vm.provision.app.PreLaunchScript))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func getStatuses(s *Server, c *call) answer {
	var request openapi.GetStatusesRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	all := object{}
	for _, id := range request.VMUUIDs {
		vm := s.find(id)
		if vm == nil {
			continue
		}
		status := describeState(vm)
		status["in_progress"], status["events"] = vm.op != nil, []object{}
		if vm.op != nil {
			status["operation_type"], status["correlation_id"] = vm.op.kind, vm.op.id
		}
		all[id] = status
	}
	return ok(all)
}

func getNetwork(_ *Server, _ *call, vm *cvm) answer {
	urls := []object{}
	if vm.booted {
		urls = append(urls, object{"app": appURL(vm), "instance": "https://" + vm.instanceID() + "-80." + gatewayDomain})
	}
	return ok(object{"is_online": vm.status == "running", "is_public": true, "error": nil, "internal_ip": "10.4.0.2", "public_urls": urls})
}

// describeApp is an app with its one CVM.
func (s *Server) describeApp(vm *cvm) object {
	described := s.describeCVM(vm)
	return object{
		"id": "prj_" + vm.id()[4:], "name": vm.name, "app_id": vm.provision.key.app.String(),
		"created_at": described["created_at"], "kms_type": "phala", "current_cvm": described,
		"cvms": []object{described}, "cvm_count": 1,
	}
}

func (s *Server) findApp(id string) *cvm {
	return s.find("app_" + strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(id, "app_"), "0x")))
}

func onApp(h func(*Server, *cvm) answer) handler {
	return func(s *Server, c *call) answer {
		vm := s.findApp(c.params["app_id"])
		if vm == nil {
			return plain(http.StatusNotFound, "App not found")
		}
		return h(s, vm)
	}
}

func listApps(s *Server, c *call) answer {
	query := c.URL.Query()
	items := []object{}
	for _, vm := range s.cvms {
		if !strings.Contains(vm.name, query.Get("search")) {
			continue
		}
		if wanted := query["status"]; len(wanted) > 0 && !slices.Contains(wanted, vm.status) {
			continue
		}
		items = append(items, s.describeApp(vm))
	}
	return page(c, items, 20, "dstack_apps", "total_pages")
}
