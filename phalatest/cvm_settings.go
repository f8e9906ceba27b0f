package phalatest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/phala-go/phala/openapi"
)

func (s *Server) answerCVMsRename(c *call, r openapi.RenameRequest) *response {
	if bad := checkName(r.Name); bad != nil {
		return bad
	}
	if r.Name != c.vm.name {
		if len(c.vm.app.workspace.withName(r.Name)) > 0 {
			return nameTaken(r.Name)
		}
		s.removeFromIndex(c.vm)
		c.vm.name = r.Name
		s.addToIndex(c.vm)
		if len(c.vm.app.cvms) == 1 {
			c.vm.app.name = r.Name
		}
	}
	return noContent()
}

func (*Server) answerCVMsSetListed(c *call, r openapi.SetListedRequest) *response {
	c.vm.listed = r.Listed
	return ok(c.vm.describeVM(c))
}

// port is a port of a node that is forwarded to one of a CVM.
type port struct {
	id       string
	host, vm int
	protocol string
}

// newPort assigns a host port if host is 0.
func (s *Server) newPort(vmPort int, protocol string, host int) port {
	s.portNumber++
	if host == 0 {
		host = 20000 + s.portNumber
	}
	return port{id: fmt.Sprintf("pm_%06d", s.portNumber), host: host, vm: vmPort, protocol: protocol}
}

func (vm *cvm) describePorts() []openapi.PortMapping {
	return mapped(vm.ports, func(p port) openapi.PortMapping {
		return openapi.PortMapping{ID: openapi.ID(p.id), HostPort: p.host, VMPort: p.vm, Protocol: p.protocol, HostAddress: "0.0.0.0"}
	})
}

func (*Server) answerCVMsListPorts(c *call) *response { return ok(c.vm.describePorts()) }

// answerCVMsSetPorts replaces the ports; those that stay keep their host port.
func (s *Server) answerCVMsSetPorts(c *call, r openapi.SetPortsRequest) *response {
	var next []port
	for _, wanted := range r.Ports {
		protocol := "tcp"
		setIf(&protocol, wanted.Protocol)
		same := func(p port) bool { return p.vm == wanted.VMPort && p.protocol == protocol }
		if slices.ContainsFunc(next, same) {
			return plainError(http.StatusBadRequest, fmt.Sprintf("The port %d/%s is named twice", wanted.VMPort, protocol))
		}
		if i := slices.IndexFunc(c.vm.ports, same); i >= 0 {
			next = append(next, c.vm.ports[i])
			continue
		}
		next = append(next, s.newPort(wanted.VMPort, protocol, 0))
	}
	c.vm.ports = next
	return ok(c.vm.describePorts())
}

func (*Server) answerCVMsGetFirewallStatus(c *call) *response {
	if !c.vm.running() {
		return ok(openapi.FirewallStatus{Reason: "the CVM is not running"})
	}
	return ok(openapi.FirewallStatus{Available: true})
}

func (vm *cvm) describeNetworkConfig() openapi.NetworkConfig {
	return openapi.NetworkConfig{
		KMSURLs: orList(vm.kmsURLs, vm.app.kms.url), GatewayURLs: orList(vm.gatewayURLs, "https://gateway."+gatewayDomain),
		Ports: mapped(vm.ports, func(p port) openapi.NetworkPort {
			return openapi.NetworkPort{HostPort: p.host, VMPort: p.vm, Protocol: p.protocol}
		}),
	}
}

func orList(list []string, absent string) []string {
	if list == nil {
		return []string{absent}
	}
	return list
}

func (*Server) answerCVMsGetNetworkConfig(c *call) *response { return ok(c.vm.describeNetworkConfig()) }

func (s *Server) answerCVMsUpdateNetworkConfig(c *call, r openapi.UpdateNetworkConfigRequest) *response {
	if deref(r.Restart) && c.vm.op != nil {
		return conflict()
	}
	if r.KMSURLs != nil {
		c.vm.kmsURLs = r.KMSURLs
	}
	if r.GatewayURLs != nil {
		c.vm.gatewayURLs = r.GatewayURLs
	}
	if deref(r.Restart) {
		s.bootCVM(c.vm, "restart", "restarting")
	}
	return ok(c.vm.describeNetworkConfig())
}

func (*Server) answerCVMsGetNetwork(c *call) *response {
	return ok(openapi.CVMNetwork{
		IsOnline: c.vm.running(), IsPublic: ref(true), InternalIP: "10.4.0.2", LatestHandshake: second(c.vm.started), PublicURLs: c.vm.urls(),
	})
}

// SetDNS sets a record for the diagnosis of domains. kind is CNAME, TXT or CAA. Without one the diagnosis finds
// nothing: this cloud never uses the network.
func (s *Server) SetDNS(kind, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dns[dnsKey(kind, name)] = value
}

func dnsKey(kind, name string) string {
	return strings.ToUpper(kind) + " " + strings.ToLower(strings.TrimSuffix(name, "."))
}

func (s *Server) answerCVMsDiagnoseDomains(c *call, r openapi.DiagnoseDomainsRequest) *response {
	var results []openapi.DomainDiagnosis
	for _, d := range r.Domains {
		records := []openapi.DNSRecordCheck{
			s.checkRecord("CNAME", d.Domain, gatewayDomain),
			s.checkRecord("TXT", "_dstack-app-address."+d.Domain, fmt.Sprintf("%s:%d", c.vm.app.id, d.Port)),
		}
		caa := []string{}
		if value, exists := s.dns[dnsKey("CAA", d.Domain)]; exists {
			caa = append(caa, value)
		}
		results = append(results, openapi.DomainDiagnosis{
			Domain: d.Domain, Port: d.Port, Records: records, IsValid: records[0].IsValid && records[1].IsValid,
			CAACheck: &openapi.CAACheck{CAARecords: caa, IsMatch: len(caa) == 0},
		})
	}
	return ok(openapi.DomainDiagnoses{Results: results})
}

func (s *Server) checkRecord(kind, name, want string) openapi.DNSRecordCheck {
	got := s.dns[dnsKey(kind, name)]
	return openapi.DNSRecordCheck{
		RecordType: kind, QueryName: name, ExpectedValue: want, ActualValue: got,
		IsValid: strings.EqualFold(strings.TrimSuffix(got, "."), want), IsDeprecated: ref(false),
	}
}

// refreshInstanceID returns the result for one CVM. An instance id never changes here.
func (vm *cvm) refreshInstanceID(c *call) openapi.InstanceIDRefresh {
	r := openapi.InstanceIDRefresh{
		CVMID: vm.rowID(c), Identifier: dashed(vm.uuid), Status: "unchanged", OldInstanceID: vm.instance, NewInstanceID: vm.instance,
		Source: "teepod_info", VerifiedWithGateway: ref(false),
	}
	if vm.instance == "" {
		r.Status, r.Source, r.Reason = "skipped", "none", "the CVM has not booted yet"
	}
	return r
}

func (*Server) answerCVMsRefreshInstanceID(c *call, _ openapi.RefreshInstanceIDRequest) *response {
	return ok(c.vm.refreshInstanceID(c))
}

func (*Server) answerCVMsRefreshInstanceIDs(c *call, r openapi.RefreshInstanceIDsRequest) *response {
	limit, runningOnly, missingOnly := 100, true, true
	setIf(&limit, r.Limit)
	setIf(&runningOnly, r.RunningOnly)
	setIf(&missingOnly, r.MissingOnly)
	var candidates []*cvm
	items := []openapi.InstanceIDRefresh{}
	counts := map[openapi.InstanceIDRefreshStatus]int{}
	for _, id := range r.CVMIDs {
		vm, bad := c.workspace.find(id)
		if bad != nil {
			counts["error"]++
			items = append(items, openapi.InstanceIDRefresh{CVMID: openapi.ID(id), Identifier: id, Status: "error", Source: "none", Reason: bad.message()})
			continue
		}
		candidates = append(candidates, vm)
	}
	if len(r.CVMIDs) == 0 && !(runningOnly && missingOnly) { // a running CVM has an instance id
		candidates = c.workspace.cvms
	}
	scanned := 0
	for _, vm := range candidates {
		if runningOnly && !vm.running() || missingOnly && vm.instance != "" || scanned >= limit {
			continue
		}
		scanned++
		item := vm.refreshInstanceID(c)
		counts[item.Status]++
		items = append(items, item)
	}
	return ok(openapi.InstanceIDRefreshes{
		Total: len(items), Scanned: scanned, Unchanged: counts["unchanged"], Skipped: counts["skipped"], Errors: counts["error"], Items: items,
	})
}
