package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

func TestRun_Demonstration(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, io.Discard))
	assert.Regexp(t, `(?s)Deploying.*→ on chain.*→ attested.*Updating.*→ retired.*allowed +[0-9a-f]{64} false\n +allowed +[0-9a-f]{64} true\n$`, out.String())
}

// The program with -cloud is stopped after every step of both flows, and started again each time.
func TestRun_CloudGoesOn(t *testing.T) {
	chain := chaintest.New(t)
	go func() { // transactions of the endpoint wait for a block
		for t.Context().Err() == nil && chain.Mine(1) == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	cloud := phalatest.New(t, phalatest.WithChain(chain.View()))
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	t.Setenv("ETH_RPC_URL", chain.Endpoint())
	t.Setenv("CHAIN_ID", fmt.Sprint(chain.Contract().ChainID))
	t.Setenv("KMS_CONTRACT", chain.KMS.Hex())
	t.Setenv("DEPLOYER_KEY", hex.EncodeToString(crypto.FromECDSA(chain.Accounts[0])))
	dir := t.TempDir()

	var all strings.Builder
	stops, seen := 0, map[string]bool{}
	for done := false; !done; {
		ctx, cancel := context.WithCancel(t.Context())
		stop := deploy.WithProgress(func(event deploy.Event) {
			_, err := os.Stat(filepath.Join(dir, name+".app.json"))
			if step := fmt.Sprintf("%T, updating: %t", event, err == nil); !seen[step] {
				seen[step] = true
				cancel()
			}
		})
		var out strings.Builder
		err := run(ctx, []string{"-cloud", "-dir", dir}, &out, io.Discard, deploy.WithVerification(cloud.AttestationPolicy()), stop)
		cancel()
		all.WriteString(out.String())
		if done = err == nil; done {
			continue
		}
		require.ErrorIs(t, err, context.Canceled, out.String())
		assert.Contains(t, out.String(), "What exists")
		stops++
		require.Less(t, stops, 30)
	}
	assert.GreaterOrEqual(t, stops, 5)
	assert.Regexp(t, `(?s)^Phala Cloud.*price +tdx.small: [\d.]+ USD per hour.*Deploying`, all.String())
	assert.Regexp(t, `from \S+state\.json`, all.String())
	assert.Regexp(t, `from \S+pending\.json`, all.String())

	calls := map[string]int{}
	for _, r := range cloud.Requests() {
		calls[r.Operation]++
	}
	assert.Equal(t, 1, calls["CVMs.Create"])
	app, err := deploy.LoadFile(filepath.Join(dir, name+".updated.json"), deploy.ParseApp)
	require.NoError(t, err)
	values, err := cloud.Env(app.CVMs[0].ID)
	require.NoError(t, err)
	assert.Len(t, values, 2)

	sent := func() (n hexutil.Uint64) {
		require.NoError(t, chain.CallContext(t.Context(), &n, "eth_getTransactionCount", chain.Address(0), "latest"))
		return n
	}
	before := sent()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-cloud", "-dir", dir}, &out, io.Discard), "a further run changes nothing")
	assert.Equal(t, before, sent())
	assert.Contains(t, out.String(), app.ComposeHash.String()+" true")
}

func TestRun_CloudWithoutItsEnvironment(t *testing.T) {
	for _, name := range []string{"PHALA_CLOUD_API_KEY", "ETH_RPC_URL", "CHAIN_ID", "KMS_CONTRACT", "DEPLOYER_KEY"} {
		t.Setenv(name, "")
	}
	err := run(t.Context(), []string{"-cloud", "-dir", t.TempDir()}, io.Discard, io.Discard)
	require.Error(t, err)
	require.NotErrorIs(t, err, errUsage)
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{"only flags": {"x"}, "not defined": {"-unknown"}} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
