package webhook

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/internal/cloudtext"
)

// Lifecycle is the data of an event in the life of a CVM.
type Lifecycle struct {
	// CVMID is the UUID of the CVM, which every call of the API accepts.
	CVMID   string `json:"cvm_id"`
	CVMName string `json:"cvm_name"`
	AppID   string `json:"app_id"`
	// Status is the status of the CVM after the event, such as "running"; "error" if it failed.
	Status string `json:"status"`
	// Error is the reason of a failure; empty if there is none.
	Error string `json:"error,omitempty"`
}

// Lifecycle returns the data of an event in the life of a CVM: of every type that begins with "cvm." and does not
// wait for an approval. It returns an error for others.
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
