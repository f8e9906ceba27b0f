package phalatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
)

// call is a request to a handler.
type call struct {
	*http.Request
	server  *Server
	route   *route
	params  map[string]string
	body    []byte
	version string
	tenant  *Tenant // nil without an API key
}

// hashedIDs reports whether all ids are strings with a prefix in the version of the call.
func (c *call) hashedIDs() bool { return c.version >= "2026-05-22" }

// nested reports whether a CVM has its size, image and KMS in objects of their own in the version of the call.
func (c *call) nested() bool { return c.version >= "2026-01-21" }

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

// decode reads the JSON body, which matches the description, into v. An absent body is an empty object. ok is false
// if a value does not fit a type that the description does not contain.
func (s *Server) decode(c *call, v any) (bad answer, ok bool) {
	if len(c.body) == 0 {
		return answer{}, true
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		s.wrong("%s: the body does not fit the description: %v", c.route.operation, err)
		return invalid(err.Error(), "value_error", "body"), false
	}
	return answer{}, true
}

// upload is the text or the file of a body that is not JSON.
func (c *call) upload() (text string, given bool, err error) {
	if len(c.body) == 0 {
		return "", false, nil
	}
	media, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return string(c.body), true, nil
	}
	parts := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		if part.FormName() == "file" || part.FormName() == "hex" {
			data, err := io.ReadAll(part)
			return string(data), true, err
		}
	}
}

// number reads an integer of the query, which fits the description.
func (c *call) number(name string, absent int) int {
	n, err := strconv.Atoi(c.URL.Query().Get(name))
	if err != nil {
		return absent
	}
	return n
}
