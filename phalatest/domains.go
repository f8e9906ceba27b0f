package phalatest

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/openapi"
)

// SetDNS lets the cloud find a record when it diagnoses domains. kind is CNAME, TXT or CAA. Without one it
// finds nothing: it never asks the network.
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
	results := []object{}
	for _, d := range r.Domains {
		records := []object{
			s.checkRecord("CNAME", d.Domain, gatewayDomain),
			s.checkRecord("TXT", "_dstack-app-address."+d.Domain, fmt.Sprintf("%s:%d", vm.app.id, d.Port)),
		}
		caa := []string{}
		if value, there := s.dns[dnsKey("CAA", d.Domain)]; there {
			caa = append(caa, value)
		}
		results = append(results, object{
			"domain": d.Domain, "port": d.Port, "records": records, "is_valid": records[0]["is_valid"] == true && records[1]["is_valid"] == true,
			"caa_check": object{"caa_records": caa, "accounturi": nil, "acme_fetches": []object{}, "expected_uri": nil, "is_match": len(caa) == 0, "info_message": nil},
		})
	}
	return ok(object{"results": results})
}

func (s *Server) checkRecord(kind, name, want string) object {
	got := s.dns[dnsKey(kind, name)]
	return object{
		"record_type": kind, "query_name": name, "expected_value": want, "actual_value": orNull(got),
		"is_valid": strings.EqualFold(strings.TrimSuffix(got, "."), want), "is_deprecated": false, "warning_message": nil,
	}
}
