package client

// Code is the exact reason of a failure, as the API names it. The set is open: servers add codes.
type Code string

// The known codes, by the part of the API: 01 the app-compose, 02 resources, 03 CVMs, 04 the account, 05 tokens, 06
// sign-in.
const (
	CodeNodeNotFound                       Code = "ERR-01-001" // the given node does not exist
	CodeComposeFileRequired                Code = "ERR-01-002" // the request has no compose file
	CodeInvalidComposeFile                 Code = "ERR-01-003" // the compose file cannot be parsed or is not valid
	CodeDuplicateCVMName                   Code = "ERR-01-004" // the workspace already has a CVM with that name
	CodeHashRegistrationRequired           Code = "ERR-01-005" // the compose hash or device must be registered on chain first
	CodeHashInvalidOrExpired               Code = "ERR-01-006" // the compose hash or commit token is unknown, expired or superseded
	CodeTxVerificationFailed               Code = "ERR-01-007" // the transaction has no receipt, was reverted or had another recipient
	CodeHashNotAllowed                     Code = "ERR-01-008" // the contract does not allow the compose hash
	CodeInstanceTypeNotFound               Code = "ERR-02-001" // the instance type is unknown
	CodeResourceNotAvailable               Code = "ERR-02-002" // no resource matches the request
	CodeInsufficientVCPU                   Code = "ERR-02-003" // the node has too few virtual CPUs
	CodeInsufficientMemory                 Code = "ERR-02-004" // the node has too little memory
	CodeInsufficientSlots                  Code = "ERR-02-005" // the node has no slot for another CVM
	CodeGPUAllocation                      Code = "ERR-02-006" // the GPUs could not be allocated
	CodeInsufficientGPU                    Code = "ERR-02-007" // the node has too few GPUs
	CodeInvalidRequest                     Code = "ERR-02-008" // a parameter is wrong, such as a nonce without an app id
	CodeIncompatibleConfiguration          Code = "ERR-02-009" // the parameters contradict one another
	CodeImageNotFound                      Code = "ERR-02-010" // the OS image is unknown
	CodeKMSNotFound                        Code = "ERR-02-011" // the KMS is not available on that node
	CodeNodeNotAccessible                  Code = "ERR-02-012" // the workspace cannot use that node
	CodeOSImageNotCompatible               Code = "ERR-02-013" // no OS image is compatible
	CodeNodeCapacityNotConfigured          Code = "ERR-02-014" // the capacity of the node is unknown
	CodeQuotaExceeded                      Code = "ERR-02-015" // the quota of the workspace is exhausted
	CodeGPUDeviceInUse                     Code = "ERR-02-016" // a GPU is reported as free but in use on the device
	CodeCVMNotFound                        Code = "ERR-03-001" // no CVM has the identifier
	CodeMultipleCVMsWithSameName           Code = "ERR-03-002" // several CVMs have that name
	CodeCVMInOtherWorkspace                Code = "ERR-03-003" // the CVM belongs to another workspace (seen by an administrator)
	CodeCVMNotInWorkspace                  Code = "ERR-03-004" // the CVM is not in the workspace
	CodeCVMAccessDenied                    Code = "ERR-03-005" // access to the CVM is denied
	CodeReplicaImageNotAvailable           Code = "ERR-03-006" // the target node lacks the OS image
	CodeCVMAppIDConflict                   Code = "ERR-03-007" // the app id runs with another compose hash
	CodeReplicaSourceInstanceNotAccessible Code = "ERR-03-008" // the CVM to copy is not accessible
	CodeReplicaComposeHashRequired         Code = "ERR-03-009" // several revisions are live, so the compose hash must be given
	CodeMultipleCVMsForIdentifier          Code = "ERR-03-010" // the identifier names several CVMs
	CodeInsufficientBalance                Code = "ERR-04-001" // the balance is too low
	CodeMaxCVMLimit                        Code = "ERR-04-002" // the maximum number of CVMs is reached
	CodeResourceLimitExceeded              Code = "ERR-04-003" // a resource limit of the account is reached
	CodeTokenLimitExceeded                 Code = "ERR-05-001" // there are too many tokens
	CodeTokenRateLimit                     Code = "ERR-05-002" // tokens are created too fast
	CodeOAuthEmailInvalid                  Code = "ERR-06-001" // the e-mail address of the OAuth account cannot be used
	CodePermissionDenied                   Code = "ERR-06-006" // the permission is missing
)

// Meaning returns a short description of the code, and "" for an unknown code.
func (c Code) Meaning() string {
	switch c {
	case CodeNodeNotFound:
		return "the given node does not exist"
	case CodeComposeFileRequired:
		return "the request has no compose file"
	case CodeInvalidComposeFile:
		return "the compose file cannot be parsed or is not valid"
	case CodeDuplicateCVMName:
		return "the workspace has a CVM of that name"
	case CodeHashRegistrationRequired:
		return "the compose hash or device must be registered on chain first"
	case CodeHashInvalidOrExpired:
		return "the compose hash or commit token is unknown, expired or superseded"
	case CodeTxVerificationFailed:
		return "the transaction has no receipt, was reverted or went elsewhere"
	case CodeHashNotAllowed:
		return "the contract does not allow the compose hash"
	case CodeInstanceTypeNotFound:
		return "the instance type is unknown"
	case CodeResourceNotAvailable:
		return "no resource matches the request"
	case CodeInsufficientVCPU:
		return "the node is short of virtual CPUs"
	case CodeInsufficientMemory:
		return "the node is short of memory"
	case CodeInsufficientSlots:
		return "the node has no slot for another CVM"
	case CodeGPUAllocation:
		return "the GPUs could not be allocated"
	case CodeInsufficientGPU:
		return "the node is short of GPUs"
	case CodeInvalidRequest:
		return "a parameter is wrong, such as a nonce without an app id"
	case CodeIncompatibleConfiguration:
		return "the parameters contradict one another"
	case CodeImageNotFound:
		return "the OS image is unknown"
	case CodeKMSNotFound:
		return "the KMS is not available on that node"
	case CodeNodeNotAccessible:
		return "the workspace may not use that node"
	case CodeOSImageNotCompatible:
		return "no OS image is compatible"
	case CodeNodeCapacityNotConfigured:
		return "the capacity of the node is not known"
	case CodeQuotaExceeded:
		return "the quota of the workspace is used up"
	case CodeGPUDeviceInUse:
		return "a GPU counts as free but is busy on the device"
	case CodeCVMNotFound:
		return "the identifier names no CVM"
	case CodeMultipleCVMsWithSameName:
		return "several CVMs have that name"
	case CodeCVMInOtherWorkspace:
		return "the CVM belongs to another workspace (as an administrator sees it)"
	case CodeCVMNotInWorkspace:
		return "the CVM is not in the workspace"
	case CodeCVMAccessDenied:
		return "the CVM may not be accessed"
	case CodeReplicaImageNotAvailable:
		return "the target node lacks the OS image"
	case CodeCVMAppIDConflict:
		return "the app id runs with another compose hash"
	case CodeReplicaSourceInstanceNotAccessible:
		return "the CVM to copy cannot be seen"
	case CodeReplicaComposeHashRequired:
		return "several revisions are live, so the compose hash must be given"
	case CodeMultipleCVMsForIdentifier:
		return "the identifier names several CVMs"
	case CodeInsufficientBalance:
		return "the balance is too low"
	case CodeMaxCVMLimit:
		return "the number of CVMs is at its limit"
	case CodeResourceLimitExceeded:
		return "a resource limit of the account is reached"
	case CodeTokenLimitExceeded:
		return "there are too many tokens"
	case CodeTokenRateLimit:
		return "tokens are made too fast"
	case CodeOAuthEmailInvalid:
		return "the e-mail address of the OAuth account cannot be used"
	case CodePermissionDenied:
		return "the permission is missing"
	}
	return ""
}
