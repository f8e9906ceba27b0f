package webhook

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/internal/cloudtext"
)

// Lifecycle is the data of an event in the life of a CVM.
type Lifecycle struct {
	// CVMID is the UUID of the CVM, which every call of the API takes.
	CVMID   string `json:"cvm_id"`
	CVMName string `json:"cvm_name"`
	AppID   string `json:"app_id"`
	// Status of the CVM after the event, such as "running"; "error" where it failed.
	Status string `json:"status"`
	// Error is why it failed; empty if it did not.
	Error string `json:"error,omitempty"`
}

// Lifecycle returns the data of an event in the life of a CVM: of every type that begins with "cvm." and does
// not wait for an approval. For others it fails.
func (e Event) Lifecycle() (Lifecycle, error) {
	if !strings.HasPrefix(string(e.Type), "cvm.") || e.pendingApproval() {
		return Lifecycle{}, fmt.Errorf("webhook: %s %s is no event in the life of a CVM", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID))
	}
	var data Lifecycle
	if err := e.decode(&data); err != nil {
		return Lifecycle{}, err
	}
	return data, nil
}
