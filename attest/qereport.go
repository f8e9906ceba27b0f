package attest

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-tdx-guest/pcs"
)

// qeReport is the part of the quoting enclave's report that its identity is compared with.
type qeReport struct {
	miscSelect, attributes, mrSigner []byte
	isvProdID, isvSVN                uint16
}

// qe reads the report of the quoting enclave, whose layout is that of an SGX report body.
func (q *Quote) qe() qeReport {
	b := q.qeReport
	return qeReport{
		miscSelect: b[16:20], attributes: b[48:64], mrSigner: b[128:160],
		isvProdID: binary.LittleEndian.Uint16(b[256:]), isvSVN: binary.LittleEndian.Uint16(b[258:]),
	}
}

// matches compares the report with Intel's identity of the enclave.
func (r qeReport) matches(id *pcs.EnclaveIdentity) error {
	if !equal(r.mrSigner, id.Mrsigner.Bytes) {
		return fmt.Errorf("MRSIGNER %x, want %x", r.mrSigner, id.Mrsigner.Bytes)
	}
	if r.isvProdID != id.IsvProdID {
		return fmt.Errorf("product %d, want %d", r.isvProdID, id.IsvProdID)
	}
	if !masked(r.attributes, id.AttributesMask.Bytes, id.Attributes.Bytes) {
		return fmt.Errorf("attributes %x, want %x under %x", r.attributes, id.Attributes.Bytes, id.AttributesMask.Bytes)
	}
	// Intel writes MISCSELECT as a number, most significant byte first, where the report has it the other way
	// round; go-tdx-guest reads both the same way. Every published identity has zero under a mask of all ones.
	if !masked(r.miscSelect, id.MiscselectMask.Bytes, id.Miscselect.Bytes) {
		return fmt.Errorf("MISCSELECT %x, want %x under %x", r.miscSelect, id.Miscselect.Bytes, id.MiscselectMask.Bytes)
	}
	return nil
}

func masked(have, mask, want []byte) bool {
	if len(have) != len(mask) || len(have) != len(want) {
		return false
	}
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}
