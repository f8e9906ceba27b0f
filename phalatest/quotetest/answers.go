package quotetest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
)

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
