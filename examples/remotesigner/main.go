// Command remotesigner deploys an app's contract with a key that this program never holds: each transaction is signed
// by another process, over JSON-RPC as clef does it (account_signTransaction).
//
//	go run ./examples/remotesigner
//
// starts a simulated chain and a fake signer that asks nobody. A real clef takes the same calls at its own address.
// For a cloud's key service write the same type around its client: what onchain.Signer needs is an address and a
// signature. Whatever the signer returns is compared with what it was asked to sign.
package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "remotesigner deploys a contract on a simulated chain; another process signs. It has no flags.")
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "remotesigner takes no argument, got %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "✗", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	chain, stop, err := chaintest.Start()
	if err != nil {
		return err
	}
	defer stop()

	clef, account := httptest.NewServer(fakeClef(chain.Accounts[0])), chain.Address(0)
	defer clef.Close()
	client, err := rpc.DialContext(ctx, clef.URL)
	if err != nil {
		return err
	}
	defer client.Close()

	// Chains that are opened with the same signer value would each count nonces; SharedNonces makes them share.
	signer := onchain.SharedNonces(&clefSigner{client, account})
	opened, err := chain.Open(ctx, onchain.WithSigner(signer))
	if err != nil {
		return err
	}
	done, err := opened.DeployApp(ctx, kms.AppContract{ComposeHash: [32]byte{1}, AllowAnyDevice: true})
	if err != nil {
		return err
	}
	fmt.Println("signed by  ", account.Hex())
	fmt.Println("app        ", done.App)
	fmt.Println("transaction", done.Receipt.Tx.Hex())
	return nil
}

// clefSigner signs through clef.
type clefSigner struct {
	client  *rpc.Client
	account common.Address
}

func (s *clefSigner) Address() common.Address { return s.account }

func (s *clefSigner) SignTx(ctx context.Context, tx *types.Transaction, chainID *big.Int) (*types.Transaction, error) {
	var signed struct {
		Raw hexutil.Bytes `json:"raw"`
	}
	if err := s.client.CallContext(ctx, &signed, "account_signTransaction", request{
		From: s.account, To: tx.To(), Gas: hexutil.Uint64(tx.Gas()), Value: (*hexutil.Big)(tx.Value()), Nonce: hexutil.Uint64(tx.Nonce()),
		Data: tx.Data(), MaxFee: (*hexutil.Big)(tx.GasFeeCap()), Tip: (*hexutil.Big)(tx.GasTipCap()), ChainID: (*hexutil.Big)(chainID),
	}); err != nil {
		return nil, err
	}
	out := new(types.Transaction)
	return out, out.UnmarshalBinary(signed.Raw)
}

// request is the transaction as clef takes it.
type request struct {
	From    common.Address  `json:"from"`
	To      *common.Address `json:"to"`
	Gas     hexutil.Uint64  `json:"gas"`
	Value   *hexutil.Big    `json:"value"`
	Nonce   hexutil.Uint64  `json:"nonce"`
	Data    hexutil.Bytes   `json:"data"`
	MaxFee  *hexutil.Big    `json:"maxFeePerGas"`
	Tip     *hexutil.Big    `json:"maxPriorityFeePerGas"`
	ChainID *hexutil.Big    `json:"chainId"`
}

// fakeClef signs whatever it is asked to with a key.
func fakeClef(key *ecdsa.PrivateKey) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage `json:"id"`
			Params []request       `json:"params"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := map[string]any{"jsonrpc": "2.0", "id": call.ID}
		if raw, err := sign(key, call.Params); err != nil {
			answer["error"] = map[string]any{"code": -32000, "message": err.Error()}
		} else {
			answer["result"] = map[string]any{"raw": raw}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
}

func sign(key *ecdsa.PrivateKey, params []request) (hexutil.Bytes, error) {
	if len(params) == 0 || params[0].From != crypto.PubkeyToAddress(key.PublicKey) {
		return nil, errors.New("unknown account")
	}
	p := params[0]
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(p.ChainID.ToInt()), &types.DynamicFeeTx{
		ChainID: p.ChainID.ToInt(), Nonce: uint64(p.Nonce), To: p.To, Value: p.Value.ToInt(), Data: p.Data, Gas: uint64(p.Gas),
		GasFeeCap: p.MaxFee.ToInt(), GasTipCap: p.Tip.ToInt(),
	})
	if err != nil {
		return nil, err
	}
	return tx.MarshalBinary()
}
