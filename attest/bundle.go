package attest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// MaxBundle limits the JSON of a [Bundle], in bytes.
const MaxBundle = 64 << 20

// bundleFormat and bundleVersion identify each document, so that a later format is refused and not partly understood.
const (
	bundleFormat  = "phala attestation bundle"
	bundleVersion = 1
)

// ErrBundle is returned for a bundle that cannot be read.
var ErrBundle = errors.New("the bundle cannot be read")

// Bundle is one piece of evidence with everything that its verification needs besides the roots of trust: as JSON it
// is one document that can be verified offline, years later. [Record] returns one.
//
// The content of a bundle is not trusted. Its Time in particular is the statement of its author: the collateral
// limits it to the weeks for which Intel issued that collateral, but anybody with the keys of a machine that was
// revoked since can create a bundle of the time before. Use only bundles from somebody who recorded them at that
// time.
type Bundle struct {
	// Time is the clock of the verification.
	Time time.Time
	// Evidence is the verified evidence.
	Evidence Evidence
	// Collateral is that of Intel at that time; nil if there was none.
	Collateral *Collateral
	// Policy is the policy of the author, without Roots and without the functions (Collateral, Now, Checks, Cloud).
	// Its Images keep their digests, but not the kernel; see [osimage.Image.MarshalJSON].
	Policy Policy
}

// Record verifies evidence as [Verify] does, and returns everything that the verification used besides the report.
// The bundle is nil only with [ErrPolicy].
func Record(ctx context.Context, evidence Evidence, policy Policy) (*Report, *Bundle, error) {
	b := &Bundle{Time: time.Now(), Evidence: evidence}
	if policy.Now != nil {
		b.Time = policy.Now()
	}
	policy.Now = func() time.Time { return b.Time }
	if source := policy.Collateral; source != nil {
		policy.Collateral = func(ctx context.Context, request CollateralRequest) (*Collateral, error) {
			c, err := source(ctx, request)
			if err == nil {
				b.Collateral = c
			}
			return c, err
		}
	}
	report, err := Verify(ctx, evidence, policy)
	if report == nil {
		return nil, nil, err
	}
	b.Policy = policy
	b.Policy.Roots, b.Policy.Collateral, b.Policy.Now, b.Policy.Checks, b.Policy.Cloud = nil, nil, nil, nil, nil
	b.Policy.Waive = nil
	for _, name := range policy.Waive {
		if !slices.ContainsFunc(policy.Checks, func(c CustomCheck) bool { return c.Name == name }) {
			b.Policy.Waive = append(b.Policy.Waive, name)
		}
	}
	return report, b, err
}

// Verify verifies the evidence of the bundle against policy, as [Verify] does. If the policy has no source of
// collateral, the bundle's is used; if it has no clock, the time of the bundle. Pass the bundle's own Policy only if
// you trust its author to define what is expected.
func (b *Bundle) Verify(ctx context.Context, policy Policy) (*Report, error) {
	if policy.Collateral == nil && b.Collateral != nil {
		policy.Collateral = OfflineCollateral(b.Collateral)
	}
	if policy.Now == nil {
		policy.Now = func() time.Time { return b.Time }
	}
	return Verify(ctx, b.Evidence, policy)
}

// The document of a bundle.
type (
	bundleDocument struct {
		Format     string                   `json:"format"`
		Version    int                      `json:"version"`
		Time       time.Time                `json:"time"`
		Evidence   evidenceDocument         `json:"evidence"`
		Collateral *openapi.QuoteCollateral `json:"collateral,omitempty"`
		Policy     policyDocument           `json:"policy"`
	}
	evidenceDocument struct {
		Name           string                  `json:"name,omitempty"`
		Quote          hexBytes                `json:"quote,omitempty"`
		EventLog       []openapi.EventLogEntry `json:"event_log,omitempty"`
		AppCompose     string                  `json:"app_compose,omitempty"`
		ConfigDocument string                  `json:"config_document,omitempty"`
		VMConfig       string                  `json:"vm_config,omitempty"`
		OSImage        string                  `json:"os_image,omitempty"`
		AppID          kms.AppID               `json:"app_id,omitzero"`
		InstanceID     string                  `json:"instance_id,omitempty"`
		Device         kms.DeviceID            `json:"device,omitzero"`
	}
	policyDocument struct {
		AppID            kms.AppID           `json:"app_id,omitzero"`
		ComposeHashes    []compose.Hash      `json:"compose_hashes,omitempty"`
		InstanceID       string              `json:"instance_id,omitempty"`
		KMSRootCAs       []hexBytes          `json:"kms_root_cas,omitempty"`
		KeyProviders     []KeyProvider       `json:"key_providers,omitempty"`
		OSImageHashes    []osimage.ImageHash `json:"os_image_hashes,omitempty"`
		Images           []*osimage.Image    `json:"images,omitempty"`
		Measurements     []KnownGood         `json:"measurements,omitempty"`
		Devices          []kms.DeviceID      `json:"devices,omitempty"`
		ReportData       hexBytes            `json:"report_data,omitempty"`
		TCBStatuses      []TCBStatus         `json:"tcb_statuses,omitempty"`
		OutOfDateGrace   time.Duration       `json:"out_of_date_grace_ns,omitempty"`
		MinTCBEvaluation int                 `json:"min_tcb_evaluation,omitempty"`
		Advisories       *[]string           `json:"advisories,omitempty"`
		Waive            []CheckName         `json:"waive,omitempty"`
	}
)

// hexBytes are hexadecimal digits in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(text []byte) error {
	var err error
	*h, err = hex.DecodeString(string(text))
	return err
}

// MarshalJSON writes the document that [ParseBundles] reads.
func (b *Bundle) MarshalJSON() ([]byte, error) {
	e, p := &b.Evidence, &b.Policy
	d := bundleDocument{
		Format: bundleFormat, Version: bundleVersion, Time: b.Time.UTC(),
		Evidence: evidenceDocument{
			Name: e.Name, Quote: e.Quote, EventLog: LogEntries(e.EventLog), AppCompose: e.AppCompose,
			ConfigDocument: e.ConfigDocument, VMConfig: e.VMConfig, OSImage: e.OSImage, AppID: e.AppID, InstanceID: e.InstanceID, Device: e.Device,
		},
		Policy: policyDocument{
			AppID: p.AppID, ComposeHashes: p.ComposeHashes, InstanceID: p.InstanceID, KeyProviders: p.KeyProviders,
			OSImageHashes: p.OSImageHashes, Images: p.Images, Measurements: p.Measurements, Devices: p.Devices, TCBStatuses: p.TCBStatuses, OutOfDateGrace: p.OutOfDateGrace,
			MinTCBEvaluation: p.MinTCBEvaluation, Waive: p.Waive,
		},
	}
	if b.Collateral != nil {
		d.Collateral = &b.Collateral.source
	}
	for _, ca := range p.KMSRootCAs {
		d.Policy.KMSRootCAs = append(d.Policy.KMSRootCAs, ca)
	}
	if p.ReportData != nil {
		d.Policy.ReportData = p.ReportData[:]
	}
	if p.Advisories != nil {
		d.Policy.Advisories = &p.Advisories
	}
	return json.Marshal(&d)
}

// UnmarshalJSON reads the document strictly: an unknown member is an error, because it may be an expectation. Its
// errors are [ErrBundle].
func (b *Bundle) UnmarshalJSON(data []byte) error {
	if err := b.unmarshal(data); err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return nil
}

func (b *Bundle) unmarshal(data []byte) error {
	if len(data) > MaxBundle {
		return fmt.Errorf("%d bytes, must be at most %d", len(data), MaxBundle)
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := strictjson.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Format != bundleFormat || head.Version != bundleVersion {
		return fmt.Errorf("format %.80q, version %d; must be %q, version %d", head.Format, head.Version, bundleFormat, bundleVersion)
	}
	var d bundleDocument
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return errors.New(cloudtext.Clean(err.Error()))
	}
	if d.Time.IsZero() {
		return errors.New("it has no time")
	}
	log, err := eventsOf(d.Evidence.EventLog)
	if err != nil {
		return err
	}
	e, p := &d.Evidence, &d.Policy
	*b = Bundle{
		Time: d.Time,
		Evidence: Evidence{
			Name: e.Name, Quote: e.Quote, EventLog: log, AppCompose: e.AppCompose, ConfigDocument: e.ConfigDocument,
			VMConfig: e.VMConfig, OSImage: e.OSImage, AppID: e.AppID, InstanceID: e.InstanceID, Device: e.Device,
		},
		Policy: Policy{
			AppID: p.AppID, ComposeHashes: p.ComposeHashes, InstanceID: p.InstanceID, KeyProviders: p.KeyProviders,
			OSImageHashes: p.OSImageHashes, Images: p.Images, Measurements: p.Measurements, Devices: p.Devices, TCBStatuses: p.TCBStatuses, OutOfDateGrace: p.OutOfDateGrace,
			MinTCBEvaluation: p.MinTCBEvaluation, Waive: p.Waive,
		},
	}
	for _, ca := range p.KMSRootCAs {
		b.Policy.KMSRootCAs = append(b.Policy.KMSRootCAs, ca)
	}
	if p.ReportData != nil {
		if len(p.ReportData) != 64 {
			return fmt.Errorf("report data of %d bytes, must be 64", len(p.ReportData))
		}
		b.Policy.ReportData = (*[64]byte)(p.ReportData)
	}
	if p.Advisories != nil {
		b.Policy.Advisories = append([]string{}, *p.Advisories...)
	}
	if d.Collateral != nil {
		if b.Collateral, err = NewCollateral(*d.Collateral); err != nil {
			return err
		}
	}
	return b.Policy.Validate()
}

// ParseBundles parses bundles in JSON: one, a list of them, or several in sequence. Its errors are [ErrBundle].
func ParseBundles(data []byte) ([]*Bundle, error) {
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("%w: %d bytes, must be at most %d", ErrBundle, len(data), MaxBundle)
	}
	var all []*Bundle
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		list := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &list); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBundle, err)
			}
		}
		for _, text := range list {
			b := &Bundle{}
			if err := b.UnmarshalJSON(text); err != nil {
				return nil, err
			}
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrBundle)
	}
	return all, nil
}
