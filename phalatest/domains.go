package phalatest

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/openapi"
)

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
