package osimage

import (
	"bytes"
	"encoding/json"
)

// imageDocument is the JSON form of an image.
type imageDocument struct {
	Hash        ImageHash `json:"hash"`
	Version     string    `json:"version,omitempty"`
	Development bool      `json:"development,omitempty"`
	// Measurement is the content of measurement.tdx.cbor, in base64.
	Measurement []byte `json:"measurement,omitempty"`
}

// MarshalJSON writes what is known of the image but for its kernel, so that an image that is read again does not cover
// guests for which [Image.Registers] fails with [ErrMemory].
func (i *Image) MarshalJSON() ([]byte, error) {
	d := imageDocument{Hash: i.Hash, Version: i.Version, Development: i.Development}
	if i.digests != nil {
		var err error
		if d.Measurement, err = i.digests.Encode(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(&d)
}

// UnmarshalJSON reads the form of MarshalJSON. That the measurement belongs to the hash is the statement of its author.
func (i *Image) UnmarshalJSON(data []byte) error {
	var d imageDocument
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return err
	}
	i.Hash, i.Version, i.Development, i.digests, i.kernel = d.Hash, d.Version, d.Development, nil, nil
	if len(d.Measurement) > 0 {
		var err error
		if i.digests, err = ParseDigests(d.Measurement); err != nil {
			return err
		}
	}
	return i.Validate()
}
