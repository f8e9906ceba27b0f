package attest_test

import (
	"context"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
	"time"

	tdx "github.com/google/go-tdx-guest/verify"
	"github.com/stretchr/testify/require"

	"github.com/google/go-tdx-guest/pcs"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/internal/interleave"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// getter answers go-tdx-guest out of memory, with what a service would answer.
type getter map[string]answer

type answer struct {
	header map[string][]string
	body   []byte
}

func (g getter) Get(url string) (map[string][]string, []byte, error) {
	a, ok := g[url]
	if !ok {
		return nil, nil, fmt.Errorf("no answer for %s", url)
	}
	return a.header, a.body, nil
}

// BenchmarkVerify makes all checks, and lets go-tdx-guest verify the same quote by itself, with collateral and
// revocation.
func BenchmarkVerify(b *testing.B) {
	authority, err := quotetest.New()
	require.NoError(b, err)
	evidence, err := authority.Evidence(quotetest.Spec{})
	require.NoError(b, err)
	policy := authority.Policy()
	policy.Collateral = attest.NewCollateralCache(authority.Collateral).Collateral
	answers, roots := pcsAnswers(b, authority.CloudCollateral()), authority.Roots()
	interleave.Compare(b, func() error {
		_, err := attest.Verify(b.Context(), evidence, policy)
		return err
	}, interleave.Baseline{Name: "tdxguest", Do: func() error {
		return tdx.RawTdxQuote(evidence.Quote, &tdx.Options{
			GetCollateral: true, CheckRevocations: true, Getter: answers, Now: time.Now(), TrustedRoots: roots,
		})
	}})
}

// BenchmarkVerifyFirst is the same for a platform that the collateral was not compared with before: 64 machines, and
// the collateral parsed anew after each has had its turn.
func BenchmarkVerifyFirst(b *testing.B) {
	authority, err := quotetest.New()
	require.NoError(b, err)
	all := make([]attest.Evidence, 64)
	for i := range all {
		machine, err := authority.Machine([16]byte{byte(i + 1)})
		require.NoError(b, err)
		all[i], err = machine.Evidence(quotetest.Spec{})
		require.NoError(b, err)
	}
	answers, roots := pcsAnswers(b, authority.CloudCollateral()), authority.Roots()
	policy := authority.Policy()
	ours, theirs := 0, 0
	interleave.Compare(b, func() error {
		if ours%len(all) == 0 {
			collateral, err := attest.NewCollateral(authority.CloudCollateral())
			if err != nil {
				return err
			}
			policy.Collateral = attest.OfflineCollateral(collateral)
		}
		ours++
		_, err := attest.Verify(b.Context(), all[ours%len(all)], policy)
		return err
	}, interleave.Baseline{Name: "tdxguest", Do: func() error {
		theirs++
		return tdx.RawTdxQuote(all[theirs%len(all)].Quote, &tdx.Options{
			GetCollateral: true, CheckRevocations: true, Getter: answers, Now: time.Now(), TrustedRoots: roots,
		})
	}})
}

// BenchmarkReplay replays 1,000 events of RTMR3, and extends the same digests without computing them.
func BenchmarkReplay(b *testing.B) {
	log := make([]attest.Event, 1000)
	digests := make([]attest.Measurement, len(log))
	for i := range log {
		var err error
		log[i], err = quotetest.RuntimeEvent(1, "event", fmt.Appendf(nil, "payload %024d", i))
		require.NoError(b, err)
		digests[i] = attest.Measurement(log[i].Digest)
	}
	want, err := attest.Replay(log)
	require.NoError(b, err)
	interleave.Compare(b, func() error {
		_, err := attest.Replay(log)
		return err
	}, interleave.Baseline{Name: "sha384", Do: func() error {
		var register attest.Measurement
		var buffer [96]byte
		for i := range digests {
			copy(buffer[:], register[:])
			copy(buffer[48:], digests[i][:])
			register = sha512.Sum384(buffer[:])
		}
		if register != want[3] {
			return attest.ErrReplay
		}
		return nil
	}})
}

// BenchmarkShared verifies 100 quotes of one kind of platform at once, with an empty cache.
func BenchmarkShared(b *testing.B) {
	authority, err := quotetest.New()
	require.NoError(b, err)
	evidence := make([]attest.Evidence, 100)
	for i := range evidence {
		evidence[i], err = authority.Evidence(quotetest.Spec{Name: fmt.Sprint(i)})
		require.NoError(b, err)
	}
	rounds := 0
	before := authority.Fetches()
	for b.Loop() {
		rounds++
		policy := authority.Policy()
		policy.Collateral = attest.NewCollateralCache(func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
			return authority.Collateral(ctx, request)
		}).Collateral
		if _, err := attest.VerifyAll(b.Context(), evidence, policy); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(authority.Fetches()-before)/float64(rounds), "fetches/op")
}

// pcsAnswers are the answers of Intel's service for the collateral.
func pcsAnswers(tb testing.TB, c openapi.QuoteCollateral) getter {
	tb.Helper()
	answer := func(header, chain, body string) answer {
		return answer{map[string][]string{header: {escape(chain)}}, []byte(body)}
	}
	fmspc := between(c.TCBInfo, `"fmspc":"`, `"`)
	return getter{
		pcs.TcbInfoURL(fmspc): answer("Tcb-Info-Issuer-Chain", c.TCBInfoIssuerChain,
			`{"tcbInfo":`+c.TCBInfo+`,"signature":"`+c.TCBInfoSignature+`"}`),
		pcs.QeIdentityURL(): answer("Sgx-Enclave-Identity-Issuer-Chain", c.QEIdentityIssuerChain,
			`{"enclaveIdentity":`+c.QEIdentity+`,"signature":"`+c.QEIdentitySignature+`"}`),
		pcs.PckCrlURL("platform"): answer("Sgx-Pck-Crl-Issuer-Chain", c.PCKCRLIssuerChain, unhex(tb, c.PCKCRL)),
		quotetest.RootCRL:         {nil, []byte(unhex(tb, c.RootCACRL))},
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}
