package phalatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// call is a request that a handler answers.
type call struct {
	*http.Request
	route   *route
	params  map[string]string
	body    []byte
	version string
}

// hashedIDs tells the versions in which all ids are strings with a prefix.
func (c *call) hashedIDs() bool { return c.version >= "2026-05-22" }

// maxRequest bounds a request body, in bytes.
const maxRequest = 1 << 20

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err == nil && len(data) > maxRequest {
		err = fmt.Errorf("more than %d bytes", maxRequest)
	}
	return data, err
}

// decode reads the JSON body into v, a pointer to a model. ok is false where it does not fit.
func (s *Server) decode(c *call, v any) (bad answer, ok bool) {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		s.wrong("%s: the body does not fit the description: %v", c.route.operation, err)
		return invalid(err.Error(), "value_error", "body"), false
	}
	return answer{}, true
}

// number reads an integer of the query within bounds.
func (c *call) number(name string, absent, least, most int) (int, answer, bool) {
	text := c.URL.Query().Get(name)
	if text == "" {
		return absent, answer{}, true
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, invalid("Input should be a valid integer", "int_parsing", "query", name), false
	case n < least:
		return 0, invalid(fmt.Sprintf("Input should be greater than or equal to %d", least), "greater_than_equal", "query", name), false
	case n > most:
		return 0, invalid(fmt.Sprintf("Input should be less than or equal to %d", most), "less_than_equal", "query", name), false
	}
	return n, answer{}, true
}
