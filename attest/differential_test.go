package attest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tdx "github.com/google/go-tdx-guest/verify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// differential is a quote for both verifiers.
type differential struct {
	Name       string          `json:"name"`
	Quote      string          `json:"quote"`
	Collateral json.RawMessage `json:"collateral"`
	Now        int64           `json:"now"`
	Root       string          `json:"root,omitempty"`

	policy attest.Policy
	// stricter names the check with which attest refuses what dcap-qvl accepts.
	stricter attest.CheckName
	// oneSided cases need not be refused by dcap-qvl, which does not check the signatures of revocation lists.
	oneSided bool
}

// opinion is the verdict of dcap-qvl.
type opinion struct {
	Name, Status, Error string
	Advisories          []string
}

// judgedByBoth are the checks that dcap-qvl 0.3.9 makes as well.
func judgedByBoth() []attest.CheckName {
	return []attest.CheckName{
		attest.CheckQuote, attest.CheckSignature, attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation,
		attest.CheckQEIdentity, attest.CheckDebug, attest.CheckSEPTVE, attest.CheckMigratable, attest.CheckReservedAttributes, attest.CheckServiceTD,
	}
}

// TestDifferential_DCAPQVL compares the verdicts with those of @phala/dcap-qvl, an independent verifier in JavaScript.
// It runs if PHALA_QVL is the path of .ci/js/qvl/verify.mjs, as .ci/js/qvl/run sets it.
func TestDifferential_DCAPQVL(t *testing.T) {
	t.Parallel()
	script := os.Getenv("PHALA_QVL")
	if script == "" {
		t.Skip("PHALA_QVL is not set; .ci/js/qvl/run sets it")
	}
	cases := append(forgedCases(t), recordedCases(t)...)
	input, err := json.Marshal(cases)
	require.NoError(t, err)
	command := exec.Command("node", script)
	command.Dir = filepath.Dir(script)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	require.NoError(t, err)
	var opinions []opinion
	require.NoError(t, json.Unmarshal(output, &opinions))
	require.Len(t, opinions, len(cases))
	accepted, stricter := 0, map[string]int{}
	for i := range cases {
		c, theirs := &cases[i], &opinions[i]
		require.Equal(t, c.Name, theirs.Name)
		quote, err := hex.DecodeString(c.Quote)
		require.NoError(t, err)
		r, _ := attest.Verify(t.Context(), attest.Evidence{Quote: quote}, c.policy)
		require.NotNil(t, r, c.Name)
		ours := r.Attested.TCB != nil && r.Attested.TCB.Platform.Status != attest.Revoked && r.Attested.TCB.QuotingEnclave.Status != attest.Revoked
		for _, check := range judgedByBoth() {
			if check == attest.CheckServiceTD && r.Check(check).Outcome == attest.NotAsked {
				continue
			}
			ours = ours && r.Check(check).Outcome == attest.Passed
		}
		if theirs.Error == "" {
			accepted++
		}
		if c.oneSided {
			assert.False(t, ours, "%s: attest accepts it", c.Name)
			if theirs.Error == "" {
				_, document, _ := strings.Cut(c.Name, ", ")
				document, _, _ = strings.Cut(document, " ")
				stricter[document]++
			}
			continue
		}
		if c.stricter != "" {
			stricter[string(c.stricter)]++
			assert.Empty(t, theirs.Error, "%s: dcap-qvl refuses it as well", c.Name)
			assert.NotEqual(t, attest.Passed, r.Check(c.stricter).Outcome, c.Name)
			continue
		}
		if !assert.Equal(t, theirs.Error == "", ours, "%s: dcap-qvl: %q, attest:\n%s", c.Name, theirs.Error, r) || theirs.Error != "" {
			continue
		}
		tcb := r.Attested.TCB
		both := attest.TCB{Platform: tcb.Platform, QuotingEnclave: tcb.QuotingEnclave} // dcap-qvl does not judge the module by itself
		status, advisories := both.Status(), both.Advisories()
		assert.Equal(t, status, attest.TCBStatus(theirs.Status), c.Name)
		slices.Sort(advisories)
		slices.Sort(theirs.Advisories)
		assert.Equal(t, strings.Join(advisories, " "), strings.Join(slices.Compact(theirs.Advisories), " "), c.Name)
	}
	t.Logf("%d quotes, of which dcap-qvl accepts %d; attest is stricter by %v", len(cases), accepted, stricter)
}

// recordedCases are the quotes of real hardware, as they are and with single bits flipped.
func recordedCases(t *testing.T) []differential {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recordedDir, "cases", "*.json"))
	require.NoError(t, err)
	var all []differential
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		c := readRecorded(t, name)
		collateral, err := attest.ParseCollateral(c.Collateral)
		if err != nil {
			// Without revocation lists neither verifier takes it.
			collateral = nil
		}
		d := differential{Name: name, Quote: c.Quote, Collateral: c.Collateral, Now: c.Issued.Unix(), policy: attest.Policy{Now: func() time.Time { return c.Issued }}}
		if collateral != nil {
			d.policy.Collateral = attest.OfflineCollateral(collateral)
		}
		all = append(all, d)
		if collateral != nil {
			all = append(all, forgedCollateral(t, d)...)
		}
		quote, err := hex.DecodeString(c.Quote)
		require.NoError(t, err)
		// Header, body, signature, attestation key and the report of the quoting enclave.
		for at := 0; at < 48+584+4+128+6+384; at += 61 {
			flipped := d
			flipped.Name = fmt.Sprintf("%s, byte %d", name, at)
			changed := slices.Clone(quote)
			changed[at] ^= 1 << (at % 8)
			flipped.Quote = hex.EncodeToString(changed)
			all = append(all, flipped)
		}
	}
	return all
}

// forgedCollateral has a character of one document changed in each case.
func forgedCollateral(t *testing.T, d differential) []differential {
	t.Helper()
	var documents map[string]string
	require.NoError(t, json.Unmarshal(d.Collateral, &documents))
	var all []differential
	delete(documents, "pck_certificate_chain") // attest takes the chain of the quote
	for document, text := range documents {
		changed, at := []byte(text), len(text)/2
		for changed[at] < '0' || changed[at] > '9' {
			at++
		}
		changed[at] = '0' + (changed[at]-'0'+1)%10
		forged := maps.Clone(documents)
		forged[document] = string(changed)
		c := d
		c.Name = fmt.Sprintf("%s, %s at %d", d.Name, document, at)
		c.Collateral = marshal(t, forged)
		c.oneSided = true
		c.policy.Collateral = nil
		if parsed, err := attest.ParseCollateral(c.Collateral); err == nil {
			c.policy.Collateral = attest.OfflineCollateral(parsed)
		}
		all = append(all, c)
	}
	return all
}

// forgedCases are quotes of quotetest, each with one property changed.
func forgedCases(t *testing.T) []differential {
	t.Helper()
	quote := func(change func(*attest.Quote)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuote(change)}
	}
	enclave := func(change func([]byte)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuotingEnclave(change)}
	}
	type options = []quotetest.Option
	var all []differential
	for name, tt := range map[string]struct {
		options  options
		spec     func(*quotetest.Spec)
		changes  []quotetest.Change
		policy   func(*attest.Policy)
		stricter attest.CheckName
	}{
		"honest":                     {},
		"version 5":                  {spec: func(s *quotetest.Spec) { s.QuoteVersion = 5 }},
		"version 5, TD 1.5":          {spec: func(s *quotetest.Spec) { s.QuoteVersion, s.TD15 = 5, true }},
		"service TD":                 {spec: func(s *quotetest.Spec) { s.QuoteVersion, s.TD15 = 5, true }, changes: quote(func(q *attest.Quote) { q.MRServiceTD[0] = 1 })},
		"FMSPC in capitals":          {options: options{quotetest.WithUpperCase(), quotetest.WithFMSPC([6]byte{0xb0, 0xc0, 0x6f})}},
		"debug":                      {changes: quote(func(q *attest.Quote) { q.TDAttributes[0] = 1 })},
		"another debug bit":          {changes: quote(func(q *attest.Quote) { q.TDAttributes[0] = 0x80 })},
		"SEPT_VE_DISABLE off":        {changes: quote(func(q *attest.Quote) { q.TDAttributes[3] = 0 })},
		"migratable":                 {changes: quote(func(q *attest.Quote) { q.TDAttributes[3] |= 0x20 })},
		"PKS, KL and PERFMON":        {changes: quote(func(q *attest.Quote) { q.TDAttributes[3] |= 0xc0; q.TDAttributes[7] = 0x80 })},
		"reserved bit 8":             {changes: quote(func(q *attest.Quote) { q.TDAttributes[1] = 1 })},
		"reserved bit 27":            {changes: quote(func(q *attest.Quote) { q.TDAttributes[3] |= 8 })},
		"reserved bit 32":            {changes: quote(func(q *attest.Quote) { q.TDAttributes[4] = 1 })},
		"reserved bit 62":            {changes: quote(func(q *attest.Quote) { q.TDAttributes[7] = 0x40 })},
		"platform out of date":       {options: options{quotetest.WithTCBStatus(attest.OutOfDate, "INTEL-SA-00837")}},
		"platform to configure":      {options: options{quotetest.WithTCBStatus(attest.ConfigurationNeeded)}},
		"platform to harden":         {options: options{quotetest.WithTCBStatus(attest.SWHardeningNeeded, "INTEL-SA-1", "INTEL-SA-2")}},
		"platform revoked":           {options: options{quotetest.WithTCBStatus(attest.Revoked)}},
		"enclave out of date":        {options: options{quotetest.WithQuotingEnclaveStatus(attest.OutOfDate)}},
		"enclave revoked":            {options: options{quotetest.WithQuotingEnclaveStatus(attest.Revoked)}},
		"old components":             {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 1 })},
		"newer components":           {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 200 })},
		"enclave's signer":           {changes: enclave(func(report []byte) { report[128]++ })},
		"enclave's product":          {changes: enclave(func(report []byte) { report[256]++ })},
		"enclave in debug mode":      {changes: enclave(func(report []byte) { report[48] |= 2 })},
		"enclave's MISCSELECT":       {changes: enclave(func(report []byte) { report[16] = 1 })},
		"enclave's masked attribute": {changes: enclave(func(report []byte) { report[56] = 0xff })},
		"enclave's data":             {changes: enclave(func(report []byte) { report[320]++ })},
		"enclave's data, upper half": {changes: enclave(func(report []byte) { report[360]++ }), stricter: attest.CheckSignature},
		"old enclave":                {changes: enclave(func(report []byte) { report[258] = 2 })},
		"older enclave":              {changes: enclave(func(report []byte) { report[258] = 0 })},
		"PCK revoked":                {options: options{quotetest.WithRevokedPCK()}},
		"CA revoked":                 {options: options{quotetest.WithRevokedCA()}},
		"signer revoked":             {options: options{quotetest.WithRevokedSigner()}},
		"collateral expired":         {options: options{quotetest.WithCollateralTime(now().AddDate(0, -1, 0), now().Add(-time.Minute))}},
		"collateral of the future":   {options: options{quotetest.WithCollateralTime(now().Add(time.Minute), now().AddDate(0, 1, 0))}},
		"under another root":         {policy: func(p *attest.Policy) { p.Roots = nil }},
		"another module's signer":    {changes: quote(func(q *attest.Quote) { q.MRSignerSEAM[9] = 1 }), stricter: attest.CheckTDXModule},
		"another module's attribute": {changes: quote(func(q *attest.Quote) { q.SEAMAttributes[7] = 1 }), stricter: attest.CheckTDXModule},
		"module out of date":         {options: options{quotetest.WithModuleStatus(attest.OutOfDate)}, stricter: attest.CheckTCBStatus},
		"module below all levels":    {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[0] = 0 }), stricter: attest.CheckTCBStatus},
		"unknown module":             {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[1] = 9 }), stricter: attest.CheckTCBStatus},
		"certificate with SHA-384":   {options: options{quotetest.WithSHA384()}, stricter: attest.CheckSecondOpinion},
	} {
		a := newAuthority(t, tt.options...)
		s := spec()
		if tt.spec != nil {
			tt.spec(&s)
		}
		p := a.Policy()
		root := a.Root().Raw
		if tt.policy != nil {
			tt.policy(&p)
			root = nil
		}
		collateral, err := json.Marshal(a.CloudCollateral())
		require.NoError(t, err)
		all = append(all, differential{
			Name: name, Quote: hex.EncodeToString(sign(t, a, s, tt.changes...).Quote), Collateral: collateral, Now: now().Unix(), Root: hex.EncodeToString(root),
			policy: p, stricter: tt.stricter,
		})
	}
	slices.SortFunc(all, func(a, b differential) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TestVerify_AgreesWithGoTDXGuest compares the verdict on hardware and collateral with that of go-tdx-guest,
// with its checks of collateral and revocation on.
func TestVerify_AgreesWithGoTDXGuest(t *testing.T) {
	t.Parallel()
	quote := func(change func(*attest.Quote)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuote(change)}
	}
	enclave := func(change func([]byte)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuotingEnclave(change)}
	}
	for name, tc := range map[string]struct {
		options []quotetest.Option
		changes []quotetest.Change
		// laxer is true where the library does not notice.
		laxer bool
	}{
		"honest":                   {},
		"module without identity":  {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[1] = 0 })},
		"newer components":         {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 200 })},
		"newer quoting enclave":    {changes: enclave(func(report []byte) { report[258] = 99 })},
		"MISCSELECT":               {changes: enclave(func(report []byte) { report[16] = 1 })},
		"masked attribute":         {changes: enclave(func(report []byte) { report[56] = 0xff })},
		"product":                  {changes: enclave(func(report []byte) { report[256]++ })},
		"enclave's attributes":     {changes: enclave(func(report []byte) { report[48] |= 2 })},
		"enclave's signer":         {changes: enclave(func(report []byte) { report[128]++ })},
		"enclave's data":           {changes: enclave(func(report []byte) { report[320]++ })},
		"old quoting enclave":      {changes: enclave(func(report []byte) { report[258] = 2 })},
		"older quoting enclave":    {changes: enclave(func(report []byte) { report[258] = 0 })},
		"module's signer":          {changes: quote(func(q *attest.Quote) { q.MRSignerSEAM[9] = 1 })},
		"module's attributes":      {changes: quote(func(q *attest.Quote) { q.SEAMAttributes[7] = 1 })},
		"old components":           {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 1 })},
		"old module":               {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[0] = 1 })},
		"older module":             {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[0] = 0 })},
		"unknown module":           {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[1] = 2 })},
		"platform out of date":     {options: []quotetest.Option{quotetest.WithTCBStatus(attest.OutOfDate)}},
		"platform to configure":    {options: []quotetest.Option{quotetest.WithTCBStatus(attest.ConfigurationNeeded)}},
		"platform revoked":         {options: []quotetest.Option{quotetest.WithTCBStatus(attest.Revoked)}},
		"module out of date":       {options: []quotetest.Option{quotetest.WithModuleStatus(attest.OutOfDate)}},
		"enclave out of date":      {options: []quotetest.Option{quotetest.WithQuotingEnclaveStatus(attest.OutOfDate)}},
		"PCK revoked":              {options: []quotetest.Option{quotetest.WithRevokedPCK()}},
		"CA revoked":               {options: []quotetest.Option{quotetest.WithRevokedCA()}},
		"signer revoked":           {options: []quotetest.Option{quotetest.WithRevokedSigner()}},
		"collateral expired":       {options: []quotetest.Option{quotetest.WithCollateralTime(now().AddDate(0, -1, 0), now().Add(-time.Minute))}},
		"collateral of the future": {options: []quotetest.Option{quotetest.WithCollateralTime(now().Add(time.Minute), now().AddDate(0, 1, 0))}, laxer: true},
	} {
		a := newAuthority(t, tc.options...)
		e := sign(t, a, spec(), tc.changes...)
		policy := a.Policy()
		_, ours := attest.Verify(t.Context(), e, policy)
		theirs := tdx.RawTdxQuote(e.Quote, &tdx.Options{
			GetCollateral: true, CheckRevocations: true, Getter: pcsAnswers(t, a.CloudCollateral()), Now: now(), TrustedRoots: a.Roots(),
		})
		if tc.laxer {
			require.Error(t, ours, name)
			require.NoError(t, theirs, name)
			continue
		}
		assert.Equal(t, theirs == nil, ours == nil, "%s: go-tdx-guest: %v, attest: %v", name, theirs, ours)
	}
}
