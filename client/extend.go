package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
)

var (
	errNilOption = errors.New("nil option")
	errNilAnswer = errors.New("answer: nil")
)

// bodyMember is a member that a call adds to its body.
type bodyMember struct {
	name  string
	value json.RawMessage
}

// WithQuery adds a query parameter that the SDK does not know yet.
func WithQuery(name, value string) CallOption {
	return callOption(func(c *callConfig) error {
		if name == "" {
			return errors.New("query: the name is empty")
		}
		c.query = append(slices.Clone(c.query), url.QueryEscape(name)+"="+url.QueryEscape(value))
		return nil
	})
}

// WithBodyMember adds a member to the JSON object of the body, for members that the SDK does not know yet. The call
// returns an error if the body has the member already.
func WithBodyMember(name string, value any) CallOption {
	return callOption(func(c *callConfig) error {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("body member %q: %w", name, err)
		}
		c.members = append(slices.Clone(c.members), bodyMember{name, data})
		return nil
	})
}

// extend adds the query and the members of the options to a request.
func (c *callConfig) extend(req *http.Request) error {
	for _, part := range c.query {
		if req.URL.RawQuery != "" {
			req.URL.RawQuery += "&"
		}
		req.URL.RawQuery += part
	}
	if len(c.members) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err == nil {
			err = json.Unmarshal(data, &members)
		}
		if err != nil || members == nil {
			return errors.New("body: a member can be added to a JSON object only")
		}
	}
	if members == nil {
		members = map[string]json.RawMessage{}
	}
	for _, m := range c.members {
		if _, ok := members[m.name]; ok {
			return fmt.Errorf("body: the member %q exists already", m.name)
		}
		members[m.name] = m.value
	}
	return setJSON(req, members)
}
