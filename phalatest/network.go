package phalatest

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/phala-go/phala/openapi"
)

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
