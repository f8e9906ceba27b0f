package quotetest_test

import (
	"encoding/json"
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func Example() {
	authority, err := quotetest.New()
	if err != nil {
		log.Fatal(err)
	}
	evidence, err := authority.Evidence(quotetest.Spec{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = attest.FromCVM(quotetest.CVMAttestation(evidence))
	fmt.Println(len(evidence.EventLog), err)

	// The hardware itself says that it can be looked into.
	debugged, err := authority.Evidence(quotetest.Spec{}, quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 }))
	if err != nil {
		log.Fatal(err)
	}
	q, err := attest.ParseQuote(debugged.Quote)
	fmt.Println(q.TDAttributes[0], err)
	// Output:
	// 29 <nil>
	// 1 <nil>
}

func TestDecodeQuote_EveryForm(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New()
	require.NoError(t, err)
	for _, spec := range []quotetest.Spec{
		{}, {LogVersion: 2}, {ConfigVersion: 2}, {ConfigVersion: 3},
		{ConfigVersion: 2, KeyProvider: attest.KeyProvider{Name: "local-sgx", ID: "00ff"}},
		{ConfigVersion: 3, KeyProvider: attest.KeyProvider{Name: "none"}},
	} {
		evidence, err := authority.Evidence(spec)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), evidence, authority.Policy())
		require.NoError(t, err)
		// Without the document of the third form it is found out.
		evidence.ConfigDocument = ""
		_, err = attest.Verify(t.Context(), evidence, authority.Policy())
		require.NoError(t, err)
	}
}

func TestSpec_RefusesInvalidValues(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New()
	require.NoError(t, err)
	for name, spec := range map[string]quotetest.Spec{
		"instance id":    {InstanceID: "xyz"},
		"log version":    {LogVersion: 3},
		"config version": {ConfigVersion: 4},
		"key provider":   {ConfigVersion: 2, KeyProvider: attest.KeyProvider{Name: "sealed"}},
	} {
		_, err := authority.Evidence(spec)
		require.ErrorContains(t, err, "quotetest: ", name)
	}
}

func TestCloudCollateral_Format(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New(quotetest.WithFMSPC([6]byte{1, 2, 3, 4, 5, 6}))
	require.NoError(t, err)
	text, err := json.Marshal(authority.CloudCollateral())
	require.NoError(t, err)
	collateral, err := attest.ParseCollateral(text)
	require.NoError(t, err)
	assert.False(t, collateral.NextUpdate().IsZero())
	_, err = authority.Collateral(t.Context(), attest.CollateralRequest{FMSPC: "00806f050000", CA: "platform"})
	require.ErrorContains(t, err, "only for 010203040506")
}

func TestTwoMachines(t *testing.T) {
	t.Parallel()
	one, err := quotetest.New(quotetest.WithPPID([16]byte{1}))
	require.NoError(t, err)
	evidence, err := one.Evidence(quotetest.Spec{InstanceID: strings.Repeat("ab", 20)})
	require.NoError(t, err)
	report, err := attest.Verify(t.Context(), evidence, one.Policy())
	require.NoError(t, err)
	ppid := [16]byte{1}
	want := attest.DeviceID(ppid[:])
	assert.Equal(t, want, report.Attested.Devices.PPID)
	assert.NotEqual(t, want, report.Attested.Devices.UserData)
}

// A second machine has an identity of its own below the same root; only the first one is revoked.
func TestMachine(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New(quotetest.WithRevokedPCK())
	require.NoError(t, err)
	second, err := authority.Machine([16]byte{15: 2})
	require.NoError(t, err)
	evidence, err := second.Evidence(quotetest.Spec{})
	require.NoError(t, err)
	report, err := attest.Verify(t.Context(), evidence, authority.Policy())
	require.NoError(t, err)
	device := attest.DeviceID(append(make([]byte, 15), 2))
	assert.Equal(t, device, report.Attested.Devices.PPID)

	revoked, err := authority.Evidence(quotetest.Spec{})
	require.NoError(t, err)
	_, err = attest.Verify(t.Context(), revoked, second.Policy())
	require.ErrorIs(t, err, attest.ErrRevoked)
}
