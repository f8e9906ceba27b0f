package phalatest

import (
	"net/http"
	"sync"

	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/internal/description"
)

// readDescription reads the description once in a process: it takes some milliseconds.
var readDescription = sync.OnceValues(func() (*description.Description, error) { return description.Read(openapi.Document()) })

// fits reports an error of the test for a request that does not match the description, and returns the response to
// one that the API would refuse.
func (s *Server) fits(c *call) (bad answer, ok bool) {
	wrong, err := s.described.Check(description.Request{Route: c.route.described(), Request: c.Request, Body: c.body})
	if err != nil {
		s.wrong("%s: %v", c.route.operation, err)
		return plain(http.StatusInternalServerError, err.Error()), false
	}
	var details []object
	for _, m := range wrong {
		s.wrong("%s: the request does not fit the description: %s: %s", c.route.operation, m.Place(), m.Text)
		if !m.Unknown {
			details = append(details, object{"loc": m.Loc, "msg": m.Text, "type": "value_error"})
		}
	}
	if details == nil {
		return answer{}, true
	}
	return answer{status: http.StatusUnprocessableEntity, body: object{"detail": details}}, false
}
