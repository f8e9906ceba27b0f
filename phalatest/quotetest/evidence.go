package quotetest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Spec describes the CVM of a quote. Absent fields have plausible values, the same each time.
type Spec struct {
	// Name is the name in reports.
	Name string
	// AppID and AppCompose are those of the app; the compose hash is that of the exact text.
	AppID      kms.AppID
	AppCompose string
	// InstanceID has 40 hex digits.
	InstanceID string
	// KeyProvider is by default a KMS with the root CA of [KMSRootCA].
	KeyProvider attest.KeyProvider
	// OSImageHash is the hash of the operating system's image.
	OSImageHash osimage.ImageHash
	// OSImage, if not nil, is the booted image: MRTD and RTMR0 to RTMR2 follow from it, and the vm_config describes it.
	// OSImageHash is by default its hash.
	OSImage *OSImage
	// Attestation is the form of the evidence in the certificate of [Authority.Certificate].
	Attestation AttestationForm
	// StorageFS is "zfs" by default.
	StorageFS string
	// ReportData is the data that the guest requests the quote with.
	ReportData [64]byte
	// Events are the names and payloads that the app extends after system-ready.
	Events []attest.Event
	// LogVersion is the format of the digests, 1 or 2; 1 by default.
	LogVersion int
	// ConfigVersion is the format of mr_config_id, 1 to 3; 1 by default.
	ConfigVersion int
	// QuoteVersion is 4 or 5; 4 by default. TD15, with 5, adds the body of TD 1.5.
	QuoteVersion uint16
	TD15         bool
}

// Change changes the values that the hardware signs.
type Change struct {
	quote    func(*attest.Quote)
	log      func([]attest.Event) []attest.Event
	qeReport func([]byte)
}

// ChangeQuote changes the body of the quote before it is signed.
func ChangeQuote(change func(*attest.Quote)) Change { return Change{quote: change} }

// ChangeLog changes the events before they are measured.
func ChangeLog(change func([]attest.Event) []attest.Event) Change { return Change{log: change} }

// ChangeQuotingEnclave changes the report of the quoting enclave (384 bytes, an SGX report body) before it is
// signed.
func ChangeQuotingEnclave(change func(report []byte)) Change { return Change{qeReport: change} }

// KMSRootCA returns the public key of the root CA of the default key provider, for [attest.Policy.KMSRootCAs].
func KMSRootCA() []byte {
	// The point of P-256 whose private key is 1, the generator.
	der, _ := hex.DecodeString("3059301306072a8648ce3d020106082a8648ce3d030107034200" +
		"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" +
		"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	return der
}

// Evidence signs a quote of the CVM, and returns it with its event log and app-compose text.
func (a *Authority) Evidence(spec Spec, changes ...Change) (attest.Evidence, error) {
	spec.fill()
	log, err := spec.log()
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("quotetest: %w", err)
	}
	mrtd, config := named("firmware"), ""
	if spec.OSImage != nil {
		var firmware []attest.Event
		if firmware, mrtd, config, err = spec.OSImage.boot(); err != nil {
			return attest.Evidence{}, fmt.Errorf("quotetest: %w", err)
		}
		log = append(firmware, slices.DeleteFunc(log, func(e attest.Event) bool { return e.IMR < 3 })...)
	}
	for _, c := range changes {
		if c.log != nil {
			log = c.log(log)
		}
	}
	q := &attest.Quote{Version: spec.QuoteVersion, TD15: spec.TD15, ReportData: spec.ReportData}
	q.TEETCBSVN = [16]byte{moduleSVN, moduleVersion, otherModuleSVN}
	q.TDAttributes = [8]byte{3: 0x10} // SEPT_VE_DISABLE, as on every real CVM
	q.XFAM = [8]byte{0xe7, 0x02, 0x06}
	q.MRSEAM, q.MRTD = named("TDX module"), mrtd
	if q.RTMR, err = attest.Replay(log); err != nil {
		return attest.Evidence{}, fmt.Errorf("quotetest: %w", err)
	}
	document, err := spec.configID(q)
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("quotetest: %w", err)
	}
	for _, c := range changes {
		if c.quote != nil {
			c.quote(q)
		}
	}
	raw, err := a.quote(q, changes)
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("quotetest: %w", err)
	}
	return attest.Evidence{
		Name: spec.Name, Quote: raw, EventLog: log, AppCompose: spec.AppCompose, ConfigDocument: string(document),
		VMConfig: config, AppID: spec.AppID, InstanceID: spec.InstanceID,
	}, nil
}

func named(what string) attest.Measurement { return sha512.Sum384([]byte("quotetest " + what)) }

func (s *Spec) fill() {
	if s.AppID.IsZero() {
		sum := sha256.Sum256([]byte("quotetest app"))
		s.AppID = kms.AppID(sum[:20])
	}
	if s.AppCompose == "" {
		s.AppCompose = `{"manifest_version":2,"name":"quotetest","runner":"docker-compose"}`
	}
	if s.InstanceID == "" {
		sum := sha256.Sum256([]byte(s.Name + s.AppID.String()))
		s.InstanceID = hex.EncodeToString(sum[:20])
	}
	if s.KeyProvider == (attest.KeyProvider{}) {
		s.KeyProvider = attest.KeyProvider{Name: "kms", ID: hex.EncodeToString(KMSRootCA())}
	}
	if s.OSImageHash.IsZero() && s.OSImage != nil {
		s.OSImageHash, _ = s.OSImage.Hash() // boot reports the error
	}
	if s.OSImageHash.IsZero() {
		s.OSImageHash = sha256.Sum256([]byte("quotetest image"))
	}
	if s.StorageFS == "" {
		s.StorageFS = "zfs"
	}
	if s.LogVersion == 0 {
		s.LogVersion = 1
	}
	if s.ConfigVersion == 0 {
		s.ConfigVersion = 1
	}
	if s.QuoteVersion == 0 {
		s.QuoteVersion = 4
	}
}

// log returns the events of firmware, dstack and app, in their order.
func (s *Spec) log() ([]attest.Event, error) {
	var log []attest.Event
	// Firmware, kernel, command line: each register has as many events as on a real CVM.
	for i, imr := range []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 2, 2, 1, 1} {
		digest := named(fmt.Sprintf("boot event %d", i))
		log = append(log, attest.Event{IMR: imr, Type: 0x8000000b, Digest: digest[:]})
	}
	hash := compose.Sum([]byte(s.AppCompose))
	instance, err := hex.DecodeString(s.InstanceID)
	if err != nil || len(instance) != 20 {
		return nil, fmt.Errorf("instance id %.80q, want 40 hexadecimal digits", s.InstanceID)
	}
	provider, err := json.Marshal(s.KeyProvider)
	if err != nil {
		return nil, err
	}
	events := []attest.Event{
		{Name: "system-preparing"}, {Name: "app-id", Payload: s.AppID[:]}, {Name: "compose-hash", Payload: hash[:]},
		{Name: "instance-id", Payload: instance}, {Name: "boot-mr-done"}, {Name: "os-image-hash", Payload: s.OSImageHash[:]},
		{Name: "key-provider", Payload: provider}, {Name: "storage-fs", Payload: []byte(s.StorageFS)}, {Name: "system-ready"},
	}
	for _, e := range append(events, s.Events...) {
		measured, err := RuntimeEvent(s.LogVersion, e.Name, e.Payload)
		if err != nil {
			return nil, err
		}
		log = append(log, measured)
	}
	return log, nil
}

// RuntimeEvent returns an event of RTMR3 with a correct digest in format 1 or 2.
func RuntimeEvent(version int, name string, payload []byte) (attest.Event, error) {
	digest, err := attest.RuntimeDigest(version, name, payload)
	if err != nil {
		return attest.Event{}, err
	}
	e := attest.Event{IMR: 3, Type: attest.RuntimeEvent, Name: name, Payload: payload, Digest: digest[:]}
	if version == 2 {
		e.Version = 2
		e.Preimage, err = attest.RuntimePreimage(version, name, payload)
	}
	return e, err
}

// configID sets mr_config_id, and returns the document of its third format.
func (s *Spec) configID(q *attest.Quote) ([]byte, error) {
	hash := compose.Sum([]byte(s.AppCompose))
	switch s.ConfigVersion {
	case 1:
		q.MRConfigID = attest.MRConfigIDV1(hash)
		return nil, nil
	case 2:
		var err error
		q.MRConfigID, err = attest.MRConfigIDV2(hash, s.AppID, s.KeyProvider)
		return nil, err
	case 3:
		provider := s.KeyProvider.Name
		if provider == "local-sgx" {
			provider = "local"
		}
		d := attest.ConfigDocument{
			AppID: s.AppID.String(), ComposeHash: hash.String(), InstanceID: s.InstanceID,
			KeyProvider: provider, KeyProviderID: s.KeyProvider.ID, Version: 3,
		}
		q.MRConfigID = attest.MRConfigIDV3(d.Canonical())
		return d.Canonical(), nil
	}
	return nil, fmt.Errorf("mr_config_id of format %d, want 1, 2 or 3", s.ConfigVersion)
}

// padding is the number of zero bytes after a quote, because a guest returns its whole buffer.
const padding = 70

// quote encodes and signs a quote.
func (a *Authority) quote(q *attest.Quote, changes []Change) ([]byte, error) {
	b := binary.LittleEndian.AppendUint16(nil, q.Version)
	b = binary.LittleEndian.AppendUint16(b, 2)    // ECDSA P-256
	b = binary.LittleEndian.AppendUint32(b, 0x81) // TDX
	b = append(b, make([]byte, 4)...)             // SVNs of the QE and PCE
	vendor := sha256.Sum256([]byte("quotetest vendor"))
	b = append(b, vendor[:16]...)
	user := a.userData()
	b = append(b, user[:]...)
	body := bodyBytes(q)
	if q.Version == 5 {
		kind := uint16(2)
		if q.TD15 {
			kind = 3
		}
		b = binary.LittleEndian.AppendUint16(b, kind)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	}
	b = append(b, body...)
	signature, err := a.signature(b, changes)
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(signature)))
	return append(append(b, signature...), make([]byte, padding)...), nil
}

func bodyBytes(q *attest.Quote) []byte {
	var b []byte
	for _, field := range [][]byte{
		q.TEETCBSVN[:], q.MRSEAM[:], q.MRSignerSEAM[:], q.SEAMAttributes[:], q.TDAttributes[:], q.XFAM[:],
		q.MRTD[:], q.MRConfigID[:], q.MROwner[:], q.MROwnerConfig[:],
		q.RTMR[0][:], q.RTMR[1][:], q.RTMR[2][:], q.RTMR[3][:], q.ReportData[:],
	} {
		b = append(b, field...)
	}
	if q.TD15 {
		b = append(append(b, q.TEETCBSVN2[:]...), q.MRServiceTD[:]...)
	}
	return b
}

// signature returns the signature section: the quote's signature, the attestation key, the report of the quoting enclave
// that certifies this key, and the PCK chain that certifies the enclave.
func (a *Authority) signature(message []byte, changes []Change) ([]byte, error) {
	b, err := sign(a.attestationKey, sha256.Sum256(message))
	if err != nil {
		return nil, err
	}
	key, err := point(a.attestationKey)
	if err != nil {
		return nil, err
	}
	auth := sha256.Sum256([]byte("quotetest authentication data"))
	report := qeReport(sha256.Sum256(append(key[:len(key):len(key)], auth[:]...)))
	for _, c := range changes {
		if c.qeReport != nil {
			c.qeReport(report)
		}
	}
	reportSignature, err := sign(a.pck.key, sha256.Sum256(report))
	if err != nil {
		return nil, err
	}
	certification := append(report, reportSignature...)
	certification = binary.LittleEndian.AppendUint16(certification, uint16(len(auth)))
	certification = append(certification, auth[:]...)
	pck := append(chain(a.pck, a.platformCA, a.root), 0)
	certification = binary.LittleEndian.AppendUint16(certification, 5)
	certification = binary.LittleEndian.AppendUint32(certification, uint32(len(pck)))
	certification = append(certification, pck...)

	b = append(b, key...)
	b = binary.LittleEndian.AppendUint16(b, 6)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(certification)))
	return append(b, certification...), nil
}

// qeReport returns the report of the quoting enclave, an SGX report body of 384 bytes.
func qeReport(data [32]byte) []byte {
	b := make([]byte, 384)
	attributes, _ := hex.DecodeString(qeAttributes)
	signer := qeSigner()
	copy(b[48:], attributes)
	copy(b[128:], signer[:])
	binary.LittleEndian.PutUint16(b[256:], qeProduct)
	binary.LittleEndian.PutUint16(b[258:], qeSVN)
	copy(b[320:], data[:])
	return b
}

// CVMAttestation returns evidence in the API's format for one CVM.
func CVMAttestation(e attest.Evidence) *openapi.CVMAttestation {
	return &openapi.CVMAttestation{
		Name: e.Name, IsOnline: true, IsPublic: openapi.Ptr(true), TCBInfo: tcbInfoOf(e),
		AppCertificates: []openapi.Certificate{{Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String()}},
	}
}

// AppAttestations returns the evidence of all instances in the API's format for their app.
func AppAttestations(instances ...attest.Evidence) *openapi.AppAttestations {
	a := &openapi.AppAttestations{}
	for _, e := range instances {
		a.AppID = e.AppID.String()
		a.Instances = append(a.Instances, openapi.AppAttestation{
			Name: e.Name, InstanceID: e.InstanceID, Status: "running", Quote: hex.EncodeToString(e.Quote), TCBInfo: tcbInfoOf(e),
		})
	}
	return a
}

// OldAppAttestations returns the format of older servers: text and log are members of their own, and there is no
// tcb_info.
func OldAppAttestations(instances ...attest.Evidence) *openapi.AppAttestations {
	a := AppAttestations(instances...)
	for i := range a.Instances {
		instance := &a.Instances[i]
		instance.ComposeFile, instance.EventLog, instance.TCBInfo = instance.TCBInfo.AppCompose, instance.TCBInfo.EventLog, nil
	}
	return a
}

// GuestInfo returns a guest agent's response about itself, as the cloud passes it on for the KMS and the gateway of
// an app (kms_guest_agent_info, gateway_guest_agent_info): the quote is in the description of a certificate.
func GuestInfo(e attest.Evidence) ([]byte, error) {
	return answer(map[string]any{
		"app_id": e.AppID.String(), "instance_id": e.InstanceID, "app_name": e.Name, "tcb_info": tcbInfoOf(e), "vm_config": e.VMConfig,
		"app_certificates": []openapi.Certificate{{Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String()}},
	})
}

// GetQuote returns a guest agent's response to GetQuote.
func GetQuote(e attest.Evidence) ([]byte, error) {
	log, err := json.Marshal(attest.LogEntries(e.EventLog))
	if err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return answer(map[string]string{"quote": hex.EncodeToString(e.Quote), "event_log": string(log), "vm_config": e.VMConfig})
}

func answer(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return b, nil
}

func tcbInfoOf(e attest.Evidence) *openapi.TCBInfo {
	tcb := &openapi.TCBInfo{EventLog: attest.LogEntries(e.EventLog), AppCompose: e.AppCompose}
	if q, err := attest.ParseQuote(e.Quote); err == nil {
		tcb.MRTD = q.MRTD.String()
		tcb.RTMR0, tcb.RTMR1, tcb.RTMR2, tcb.RTMR3 = q.RTMR[0].String(), q.RTMR[1].String(), q.RTMR[2].String(), q.RTMR[3].String()
	}
	return tcb
}
