package openapi

import "slices"

// CVMStatus is what a CVM is doing, in lower case. The set is open: the API may send others than the constants.
type CVMStatus string

// The statuses that the API is known to send. A CVM stays in CVMRunning, CVMStopped, CVMExited, CVMError and
// CVMFailed until something changes it; the others are followed by another one.
const (
	CVMPending      CVMStatus = "pending"       // a commit was accepted; nothing runs yet
	CVMCreated      CVMStatus = "created"       // known to the cloud, not booted yet
	CVMCreating     CVMStatus = "creating"      // the VM is being made
	CVMProvisioning CVMStatus = "provisioning"  // resources are being found
	CVMStarting     CVMStatus = "starting"      // it boots
	CVMRunning      CVMStatus = "running"       // the guest has booted
	CVMStopping     CVMStatus = "stopping"      // it is being stopped hard
	CVMShuttingDown CVMStatus = "shutting_down" // the guest was told to end
	CVMStopped      CVMStatus = "stopped"       // stopped by a request; it can be started
	CVMRestarting   CVMStatus = "restarting"    // it boots once more
	CVMUpdating     CVMStatus = "updating"      // a change is applied, which boots it once more
	CVMExited       CVMStatus = "exited"        // the guest ended by itself
	CVMError        CVMStatus = "error"         // the last operation failed
	CVMFailed       CVMStatus = "failed"        // the same in older servers
	CVMDeleting     CVMStatus = "deleting"      // it is being deleted
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
