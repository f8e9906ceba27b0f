package openapi

import "slices"

// CVMStatus is the status of a CVM, in lower case. The set is open: the API may send others than the constants.
type CVMStatus string

// The statuses that the API is known to send. A CVM stays in CVMRunning, CVMStopped, CVMExited, CVMError and
// CVMFailed until something changes it; another status follows each of the others.
const (
	CVMPending      CVMStatus = "pending"       // a commit was accepted
	CVMCreated      CVMStatus = "created"       // exists, and has not booted yet
	CVMCreating     CVMStatus = "creating"      // the VM is created
	CVMProvisioning CVMStatus = "provisioning"  // resources are allocated
	CVMStarting     CVMStatus = "starting"      // boots
	CVMRunning      CVMStatus = "running"       // the guest has booted
	CVMStopping     CVMStatus = "stopping"      // is powered off
	CVMShuttingDown CVMStatus = "shutting_down" // the guest shuts down
	CVMStopped      CVMStatus = "stopped"       // stopped by a request; it can be started
	CVMRestarting   CVMStatus = "restarting"    // boots again
	CVMUpdating     CVMStatus = "updating"      // a change is applied, and it boots again
	CVMExited       CVMStatus = "exited"        // the guest ended without a request
	CVMError        CVMStatus = "error"         // the last operation failed
	CVMFailed       CVMStatus = "failed"        // the same in older servers
	CVMDeleting     CVMStatus = "deleting"      // is deleted
	CVMDeleted      CVMStatus = "deleted"       // deleted; Get returns 404
	CVMUnknown      CVMStatus = "unknown"       // the node could not be reached
)

// CVMStatuses returns the statuses that the API is known to send, in the order of a CVM's life.
func CVMStatuses() []CVMStatus {
	return []CVMStatus{
		CVMPending, CVMCreated, CVMCreating, CVMProvisioning, CVMStarting, CVMRunning, CVMStopping, CVMShuttingDown, CVMStopped,
		CVMRestarting, CVMUpdating, CVMExited, CVMError, CVMFailed, CVMDeleting, CVMDeleted, CVMUnknown,
	}
}

// Known reports whether a status is one of [CVMStatuses].
func (s CVMStatus) Known() bool { return slices.Contains(CVMStatuses(), s) }
