package quotetest

import (
	"encoding/hex"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
)

// CVMAttestation is the evidence as the API answers it for one CVM.
func CVMAttestation(e attest.Evidence) *openapi.CVMAttestation {
	return &openapi.CVMAttestation{
		Name: e.Name, IsOnline: true, IsPublic: openapi.Ptr(true), TCBInfo: tcbInfoOf(e),
		AppCertificates: []openapi.Certificate{{Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String()}},
	}
}

// AppAttestations is the evidence of all instances as the API answers it for their app.
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

func tcbInfoOf(e attest.Evidence) *openapi.TCBInfo {
	tcb := &openapi.TCBInfo{EventLog: attest.LogEntries(e.EventLog), AppCompose: e.AppCompose}
	if q, err := attest.ParseQuote(e.Quote); err == nil {
		tcb.MRTD = q.MRTD.String()
		tcb.RTMR0, tcb.RTMR1, tcb.RTMR2, tcb.RTMR3 = q.RTMR[0].String(), q.RTMR[1].String(), q.RTMR[2].String(), q.RTMR[3].String()
	}
	return tcb
}
