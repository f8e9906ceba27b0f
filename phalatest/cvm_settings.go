package phalatest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

func rename(s *Server, c *call, vm *cvm) answer {
	var r openapi.RenameRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	if err := compose.ValidateName(r.Name); err != nil {
		return invalid("Value error, "+err.Error(), "value_error", "body", "name")
	}
	if r.Name != vm.name {
		if len(vm.tenant().named(r.Name)) > 0 {
			return nameTaken(r.Name)
		}
		s.dismiss(vm)
		vm.name = r.Name
		s.enroll(vm)
		if len(vm.app.cvms) == 1 {
			vm.app.name = r.Name
		}
	}
	return noContent()
}

func setListed(s *Server, c *call, vm *cvm) answer {
	var r openapi.SetListedRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	vm.listed = r.Listed
	return ok(vm.describeVM(c))
}

// scheduleDelete sets the time of the deletion, or with null takes it back.
func scheduleDelete(s *Server, c *call, vm *cvm) answer {
	var r openapi.ScheduleDeleteRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &r); !ok {
			return bad
		}
	}
	vm.schedule(s, r.ScheduledDeleteAt)
	return ok(vm.describeVM(c))
}

func (vm *cvm) schedule(s *Server, at *openapi.Time) {
	vm.deleteAt = time.Time{}
	s.scheduled = slices.DeleteFunc(s.scheduled, func(other *cvm) bool { return other == vm })
	if at != nil && !at.IsZero() {
		vm.deleteAt = at.Time
		s.scheduled = append(s.scheduled, vm)
	}
}

// deleteScheduled begins the deletions whose time has come.
func (s *Server) deleteScheduled() {
	if len(s.scheduled) == 0 {
		return
	}
	now := time.Now()
	s.scheduled = slices.DeleteFunc(s.scheduled, func(vm *cvm) bool {
		if now.Before(vm.deleteAt) {
			return false
		}
		vm.delete(s)
		return true
	})
}

// port is a port of a node that leads to one of a CVM.
type port struct {
	id       string
	host, vm int
	protocol string
}

// newPort takes the next free port of the nodes where host is 0.
func (s *Server) newPort(vmPort int, protocol string, host int) port {
	s.portNumber++
	if host == 0 {
		host = 20000 + s.portNumber
	}
	return port{id: fmt.Sprintf("pm_%06d", s.portNumber), host: host, vm: vmPort, protocol: protocol}
}

func (vm *cvm) describePorts() []openapi.PortMapping {
	all := []openapi.PortMapping{}
	for _, p := range vm.ports {
		all = append(all, openapi.PortMapping{ID: openapi.ID(p.id), HostPort: p.host, VMPort: p.vm, Protocol: p.protocol, HostAddress: "0.0.0.0"})
	}
	return all
}

func listPorts(_ *Server, _ *call, vm *cvm) answer { return ok(vm.describePorts()) }

// setPorts replaces the ports; those that stay keep their host port.
func setPorts(s *Server, c *call, vm *cvm) answer {
	var r openapi.SetPortsRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	var next []port
	for _, wanted := range r.Ports {
		protocol := "tcp"
		if wanted.Protocol != nil {
			protocol = *wanted.Protocol
		}
		same := func(p port) bool { return p.vm == wanted.VMPort && p.protocol == protocol }
		if slices.ContainsFunc(next, same) {
			return plain(http.StatusBadRequest, fmt.Sprintf("The port %d/%s is named twice", wanted.VMPort, protocol))
		}
		if i := slices.IndexFunc(vm.ports, same); i >= 0 {
			next = append(next, vm.ports[i])
			continue
		}
		next = append(next, s.newPort(wanted.VMPort, protocol, 0))
	}
	vm.ports = next
	return ok(vm.describePorts())
}

func firewallStatus(_ *Server, _ *call, vm *cvm) answer {
	if !vm.running() {
		return ok(openapi.FirewallStatus{Reason: "the CVM is not running"})
	}
	return ok(openapi.FirewallStatus{Available: true})
}

func (vm *cvm) describeNetworkConfig() openapi.NetworkConfig {
	ports := []openapi.NetworkPort{}
	for _, p := range vm.ports {
		ports = append(ports, openapi.NetworkPort{HostPort: p.host, VMPort: p.vm, Protocol: p.protocol})
	}
	return openapi.NetworkConfig{
		KMSURLs: orList(vm.kmsURLs, vm.app.kms.url), GatewayURLs: orList(vm.gatewayURLs, "https://gateway."+gatewayDomain), Ports: ports,
	}
}

func orList(list []string, absent string) []string {
	if list == nil {
		return []string{absent}
	}
	return list
}

func getNetworkConfig(_ *Server, _ *call, vm *cvm) answer { return ok(vm.describeNetworkConfig()) }

func updateNetworkConfig(s *Server, c *call, vm *cvm) answer {
	var r openapi.UpdateNetworkConfigRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	if deref(r.Restart) && vm.op != nil {
		return plain(http.StatusConflict, busy)
	}
	if r.KMSURLs != nil {
		vm.kmsURLs = r.KMSURLs
	}
	if r.GatewayURLs != nil {
		vm.gatewayURLs = r.GatewayURLs
	}
	if deref(r.Restart) {
		s.bootCVM(vm, "restart", "restarting")
	}
	return ok(vm.describeNetworkConfig())
}

func getNetwork(_ *Server, _ *call, vm *cvm) answer {
	return ok(openapi.CVMNetwork{
		IsOnline: vm.running(), IsPublic: ref(true), InternalIP: "10.4.0.2", LatestHandshake: second(vm.started), PublicURLs: vm.urls(),
	})
}

// SetDNS sets a record for the diagnosis of domains. kind is CNAME, TXT or CAA. Without one the diagnosis finds
// nothing: the cloud never uses the network.
func (s *Server) SetDNS(kind, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dns[dnsKey(kind, name)] = value
}

func dnsKey(kind, name string) string {
	return strings.ToUpper(kind) + " " + strings.ToLower(strings.TrimSuffix(name, "."))
}

func diagnoseDomains(s *Server, c *call, vm *cvm) answer {
	var r openapi.DiagnoseDomainsRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	var results []openapi.DomainDiagnosis
	for _, d := range r.Domains {
		records := []openapi.DNSRecordCheck{
			s.checkRecord("CNAME", d.Domain, gatewayDomain),
			s.checkRecord("TXT", "_dstack-app-address."+d.Domain, fmt.Sprintf("%s:%d", vm.app.id, d.Port)),
		}
		caa := []string{}
		if value, there := s.dns[dnsKey("CAA", d.Domain)]; there {
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

// refreshed returns the result for one CVM. The cloud never forgets an id, so there is never a new one.
func (vm *cvm) refreshed(c *call) openapi.InstanceIDRefresh {
	r := openapi.InstanceIDRefresh{
		CVMID: vm.numberOrID(c), Identifier: dashed(vm.uuid), Status: "unchanged", OldInstanceID: vm.instance, NewInstanceID: vm.instance,
		Source: "teepod_info", VerifiedWithGateway: ref(false),
	}
	if vm.instance == "" {
		r.Status, r.Source, r.Reason = "skipped", "none", "the CVM has not booted yet"
	}
	return r
}

func refreshInstanceID(_ *Server, c *call, vm *cvm) answer { return ok(vm.refreshed(c)) }

func refreshInstanceIDs(s *Server, c *call) answer {
	var r openapi.RefreshInstanceIDsRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	limit := 100
	if r.Limit != nil {
		limit = *r.Limit
	}
	fits := func(vm *cvm) bool {
		return (r.RunningOnly != nil && !*r.RunningOnly || vm.running()) && (r.MissingOnly != nil && !*r.MissingOnly || vm.instance == "")
	}
	var chosen []*cvm
	items := []openapi.InstanceIDRefresh{}
	counts := map[openapi.InstanceIDRefreshStatus]int{}
	if len(r.CVMIDs) > 0 {
		for _, id := range r.CVMIDs {
			vm, bad := c.tenant.find(id)
			if bad != nil {
				counts["error"]++
				items = append(items, openapi.InstanceIDRefresh{CVMID: openapi.ID(id), Identifier: id, Status: "error", Source: "none", Reason: bad.message()})
				continue
			}
			if fits(vm) {
				chosen = append(chosen, vm)
			}
		}
	}
	// A running CVM has an instance id: with the defaults no CVM matches, and none is checked.
	nobody := (r.RunningOnly == nil || *r.RunningOnly) && (r.MissingOnly == nil || *r.MissingOnly)
	for i := 0; len(r.CVMIDs) == 0 && !nobody && i < len(c.tenant.cvms) && len(chosen) < limit; i++ {
		if fits(c.tenant.cvms[i]) {
			chosen = append(chosen, c.tenant.cvms[i])
		}
	}
	chosen = chosen[:min(limit, len(chosen))]
	for _, vm := range chosen {
		item := vm.refreshed(c)
		counts[item.Status]++
		items = append(items, item)
	}
	return ok(openapi.InstanceIDRefreshes{
		Total: len(items), Scanned: len(chosen), Unchanged: counts["unchanged"], Skipped: counts["skipped"], Errors: counts["error"], Items: items,
	})
}
