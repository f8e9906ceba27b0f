package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
)

// Type is the type of an event. The set is open: expect other values.
type Type string

// The documented types of events. The change log of the cloud mentions a family "gpu_rental." as well, whose members
// are not documented.
const (
	// CVMCreated: the first deployment of a CVM runs.
	CVMCreated Type = "cvm.created"
	// CVMCreateFailed: the first deployment failed. Its [Lifecycle] has an error.
	CVMCreateFailed Type = "cvm.create_failed"
	// CVMStarted: a stopped CVM runs again.
	CVMStarted Type = "cvm.started"
	// CVMRestarted: a CVM was restarted and runs.
	CVMRestarted Type = "cvm.restarted"
	// CVMUpdated: an update is done, and the CVM runs.
	CVMUpdated Type = "cvm.updated"
	// CVMStopped: a CVM was stopped or has shut down.
	CVMStopped Type = "cvm.stopped"
	// CVMDeleted: a CVM is gone.
	CVMDeleted Type = "cvm.deleted"
	// CVMUpdatePendingApproval: an update was prepared and waits for the owner of the app's contract. It has
	// a [PendingApproval].
	CVMUpdatePendingApproval Type = "cvm.update.pending_approval"
	// CVMReplicaPendingApproval: the same for a replica.
	CVMReplicaPendingApproval Type = "cvm.replica.pending_approval"
)

// Event is an event of a workspace. Formatting it omits Data, which can contain a token. [Marshal] returns the whole
// event in the form in which the cloud sends it.
type Event struct {
	// ID is the same in all attempts to deliver the event.
	ID   string `json:"id"`
	Type Type   `json:"event"`
	// Version of the form, now "1".
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Workspace Workspace `json:"workspace"`
	// Data depends on the type. See [Event.Lifecycle] and [Event.PendingApproval]; decode it yourself for
	// other types.
	Data Hidden `json:"data"`
}

// Workspace is the workspace that an event belongs to.
type Workspace struct {
	// ID is its slug.
	ID   string `json:"id"`
	Name string `json:"name"`
}

// maxID limits the id of an event in bytes, because it becomes a key. The documented form is "evt_" and 16 hex
// digits.
const maxID = 128

// UnmarshalJSON reads the body of a delivery. Id and type are required, everything else may be missing; unknown
// members are ignored.
func (e *Event) UnmarshalJSON(data []byte) error {
	type plain Event
	wire := struct {
		*plain
		Version   text `json:"version"`
		CreatedAt when `json:"created_at"`
	}{plain: &plain{}}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	switch {
	case wire.ID == "":
		return errors.New("no id")
	case len(wire.ID) > maxID:
		return fmt.Errorf("id %.40q: %d bytes, want at most %d", wire.ID, len(wire.ID), maxID)
	case wire.Type == "":
		return errors.New("no event")
	}
	*e = Event(*wire.plain)
	e.Version, e.CreatedAt = string(wire.Version), wire.CreatedAt.Time
	return nil
}

// Format writes type, id and workspace, whatever the verb.
func (e Event) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, cloudtext.Clean(string(e.Type))+" "+cloudtext.Clean(e.ID)+" of workspace "+cloudtext.Clean(e.Workspace.ID))
}

// LogValue returns everything but the data.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", cloudtext.Clean(e.ID)), slog.String("type", cloudtext.Clean(string(e.Type))),
		slog.Time("created_at", e.CreatedAt), slog.String("workspace", cloudtext.Clean(e.Workspace.ID)),
	)
}

// decode reads the data into v, a pointer.
func (e Event) decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("webhook: data of %s %s: %w", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID), err)
	}
	return nil
}
