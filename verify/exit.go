package verify

import (
	"errors"

	"github.com/phala-go/phala/attest"
)

// Exit codes by kind of failure, the most basic first.
const (
	exitVerified    = 0
	exitHardware    = 10
	exitPlatform    = 11
	exitDomain      = 12
	exitSystem      = 13
	exitApp         = 14
	exitKeys        = 15
	exitOther       = 16
	exitNotPossible = 20
)

// ExitCode returns an exit code for programs, by the most basic kind of failure:
//
//	 0  every running instance is verified
//	10  the evidence is not of genuine hardware: quote, signatures, collateral, revocation
//	11  the platform is not in an accepted state: TCB status, advisories, expired collateral
//	12  the host can read the CVM: debug mode and other attributes
//	13  another operating system, or a development image
//	14  another app: event log, app id, compose hash, document, instance
//	15  the keys of the app have another source, or its KMS is not verified ([WithKMS])
//	16  another check failed: report data, device, checks of the caller, the gateway ([WithGateway])
//	20  nothing failed, but something could not be checked: no evidence, no collateral, nothing runs
//
// The codes in between are free for the program.
func (r *Result) ExitCode() int {
	code, running := exitVerified, 0
	worse := func(found int) {
		if code == exitVerified || found < code {
			code = found
		}
	}
	for i := range r.Instances {
		instance := &r.Instances[i]
		if !instance.counts() {
			continue
		}
		running++
		if instance.Err != nil {
			worse(instance.exitCode())
		}
	}
	if running == 0 {
		worse(exitNotPossible)
	}
	if r.kmsAsked && r.KMS.Err != nil {
		worse(exitKeys)
	}
	if r.gatewayAsked && r.Gateway.Err != nil {
		worse(exitOther)
	}
	return code
}

func (i *Instance) exitCode() int {
	code := exitNotPossible
	if errors.Is(i.Err, attest.ErrInstanceID) {
		code = exitApp
	}
	if i.Report == nil {
		return code
	}
	for _, c := range i.Report.Checks {
		if c.Outcome == attest.Failed && !c.Waived {
			code = min(code, exitCodeOf(c.Name))
		}
	}
	return code
}

func exitCodeOf(name attest.CheckName) int {
	switch name {
	case attest.CheckQuote, attest.CheckSignature, attest.CheckCollateral, attest.CheckRevocation, attest.CheckTDXModule,
		attest.CheckQEIdentity, attest.CheckSecondOpinion:
		return exitHardware
	case attest.CheckCollateralTime, attest.CheckTCBEvaluation, attest.CheckTCBStatus, attest.CheckAdvisories:
		return exitPlatform
	case attest.CheckDebug, attest.CheckSEPTVE, attest.CheckMigratable, attest.CheckReservedAttributes, attest.CheckServiceTD:
		return exitDomain
	case attest.CheckMeasurements, attest.CheckOSImage, attest.CheckProductionOS:
		return exitSystem
	case attest.CheckEventLog, attest.CheckBootEvents, attest.CheckAppID, attest.CheckComposeHash, attest.CheckComposeText,
		attest.CheckInstanceID, attest.CheckMRConfigID, checkDocument:
		return exitApp
	case attest.CheckKeyProvider:
		return exitKeys
	}
	return exitOther
}
