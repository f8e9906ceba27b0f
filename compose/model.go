package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// FromModel returns the document that another model of it writes as JSON, such as an openapi.AppCompose of a
// response. Members that are null or unknown stay.
func FromModel(model any) (*App, error) {
	raw, err := json.Marshal(model)
	if err != nil {
		return nil, fmt.Errorf("app-compose: %w", err)
	}
	return Parse(raw)
}

// ToModel decodes the document into another model of it, such as an *openapi.AppCompose of a request. It returns
// an error if the model loses a member: if what it writes has another canonical form, so that
// another document would be sent than the one that was hashed.
func (a *App) ToModel(model any) error {
	doc, err := a.Canonical()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, model); err != nil {
		return fmt.Errorf("app-compose: the model %T does not accept it: %w", model, err)
	}
	written, err := json.Marshal(model)
	if err != nil {
		return fmt.Errorf("app-compose: the model %T does not write it: %w", model, err)
	}
	again, err := Canonicalize(written)
	if err != nil {
		return fmt.Errorf("app-compose: what the model %T writes: %w", model, err)
	}
	if !bytes.Equal(doc, again) {
		return fmt.Errorf("app-compose: the model %T loses a member: %w", model, differs(doc, again))
	}
	return nil
}

// differs returns an error that names the first member that differs between two canonical documents.
func differs(a, b []byte) error {
	want, err := members(a)
	if err != nil {
		return err
	}
	got, err := members(b)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(want[name], got[name]) {
			return errors.New("the member " + name + " differs")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == nil {
			return errors.New("the member " + name + " was added")
		}
	}
	return errors.New("the documents differ")
}
