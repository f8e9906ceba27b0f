package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
)

// SendOption configures one send.
type SendOption func(*sendConfig)

type sendConfig struct {
	checkpoint func(*Intent) error
	resume     *Intent
}

// Checkpoint calls save with the intent each time before something new is broadcast. If save fails, the send ends,
// and the new transaction is not broadcast. Without a checkpoint a stuck transaction is not replaced, because a crash
// would lose the replacement.
func Checkpoint(save func(*Intent) error) SendOption {
	return func(c *sendConfig) { c.checkpoint = save }
}

// ResumeIntent continues with an intent that a checkpoint saved, instead of preparing a new one. It must be for the same
// call. A nil intent is ignored.
func ResumeIntent(intent *Intent) SendOption {
	return func(c *sendConfig) { c.resume = intent }
}

func sendOptions(opts []SendOption) sendConfig {
	var cfg sendConfig
	for _, o := range opts {
		o(&cfg)
	}
	return cfg
}

// Send broadcasts the newest transaction of an intent, unless one of it is in the chain or the pool already,
// and waits until one is confirmed. It can be called again with the same intent, also by another process, and
// never sends anything else than the intent's transactions and replacements of them with the same nonce.
//
// The error is a [*RevertError] if the transaction was mined and failed, a [*ReplacedError] if another one took its
// nonce, a [*RejectedError] if the node does not take it, a [*PendingError] if it is not confirmed in time, and a
// [*ReceiptError] if the endpoint contradicts itself. An intent must not be sent by two goroutines at once.
func (c *Chain) Send(ctx context.Context, intent *Intent, opts ...SendOption) (*Receipt, error) {
	if err := intent.check(c.contract.ChainID); err != nil {
		return nil, err
	}
	cfg := sendOptions(opts)
	s := &sending{
		tracker: tracker{c: c, contract: intent.Call.To, last: "not seen yet"},
		intent:  intent, checkpoint: cfg.checkpoint, uncertain: cfg.resume != nil || len(intent.Transactions) > 1,
	}
	return s.run(ctx)
}

// sending is one run of Send.
type sending struct {
	tracker
	intent     *Intent
	checkpoint func(*Intent) error
	// accepted reports that a node has or had a transaction of the intent.
	accepted bool
	// uncertain reports that a node may have one: another run broadcast it, or the response was lost.
	uncertain bool
	sentAt    time.Time
	// absent is the number of polls at which no node had a transaction of the intent while its nonce was used.
	absent int
}

func (s *sending) run(ctx context.Context) (*Receipt, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.c.cfg.wait)
	defer cancel()
	for {
		mined, err := s.poll(ctx)
		if err != nil {
			return nil, err
		}
		if mined != nil && *mined.Status == 0 {
			return nil, s.c.reverted(ctx, s.intent.From, s.intent.Call, mined, s.gasLimit(mined.Tx))
		}
		if mined != nil {
			return mined.receipt(), nil
		}
		if err := pause.For(ctx, s.c.cfg.poll); err != nil {
			return nil, &PendingError{Intent: s.intent, Tx: s.intent.last().Hash, Waited: time.Since(began), Last: s.last, Err: errors.Join(err, s.lastErr)}
		}
	}
}

// gasLimit is the gas of one of the intent's transactions, or 0.
func (s *sending) gasLimit(hash common.Hash) uint64 {
	for _, signed := range s.intent.Transactions {
		if tx, err := decodeTx(signed.Raw); err == nil && signed.Hash == hash {
			return tx.Gas()
		}
	}
	return 0
}

// poll reads the state once and acts on it. It returns the receipt if it is confirmed.
func (s *sending) poll(ctx context.Context) (*wireReceipt, error) {
	n := len(s.intent.Transactions)
	receipts, known := make([]*wireReceipt, n), make([]*transaction, n)
	var nonce hexutil.Uint64
	elems := []rpc.BatchElem{request(&nonce, "eth_getTransactionCount", s.intent.From, string(Latest))}
	for i, tx := range s.intent.Transactions {
		elems = append(elems, request(&receipts[i], "eth_getTransactionReceipt", tx.Hash), request(&known[i], "eth_getTransactionByHash", tx.Hash))
	}
	h, ok := s.read(ctx, elems)
	if !ok {
		return nil, nil
	}
	seen := false
	for i, r := range receipts {
		s.accepted = s.accepted || known[i] != nil || r != nil
		if r == nil {
			continue
		}
		// After a reorganisation a node may still return the receipt of one that is no longer in the chain.
		seen = true
		if mined, err := s.confirm(ctx, r, s.intent.Transactions[i].Hash, h); mined != nil || err != nil {
			return mined, err
		}
	}
	if seen {
		return nil, nil
	}
	s.odd = 0
	if uint64(nonce) > s.intent.Nonce {
		return nil, s.nonceUsed(ctx, h, slices.ContainsFunc(known, func(tx *transaction) bool { return tx != nil }))
	}
	if known[n-1] == nil {
		s.note("not known to the endpoint")
		return nil, s.broadcast(ctx)
	}
	s.note("waiting in the pool")
	if s.sentAt.IsZero() {
		s.sentAt = time.Now()
	}
	if time.Since(s.sentAt) >= s.c.cfg.replaceAfter && s.checkpoint != nil && s.c.Sender() == s.intent.From {
		return nil, s.replace(ctx, h.latest)
	}
	return nil, nil
}

// replace signs the same call with the same nonce and higher fees, and sends it after the checkpoint has saved it.
func (s *sending) replace(ctx context.Context, head *header) error {
	stuck, err := decodeTx(s.intent.last().Raw)
	if err != nil {
		return err
	}
	tip, err := s.c.tip(ctx, head)
	if err != nil {
		s.fail(ctx, err)
		return nil
	}
	now, err := s.c.fees(head, tip)
	if err != nil {
		s.fail(ctx, err)
		return nil
	}
	more := fees{stuck.GasTipCap(), stuck.GasFeeCap()}.bumped(now)
	if limit := s.c.cfg.maxFee; limit != nil && more.feeCap.Cmp(limit) > 0 {
		s.fail(ctx, &FeeError{Fee: more.feeCap, Max: new(big.Int).Set(limit)})
		return nil
	}
	signed, err := s.c.sign(ctx, types.NewTx(&types.DynamicFeeTx{
		ChainID: stuck.ChainId(), Nonce: stuck.Nonce(), GasTipCap: more.tip, GasFeeCap: more.feeCap,
		Gas: stuck.Gas(), To: stuck.To(), Value: stuck.Value(), Data: stuck.Data(),
	}))
	if err != nil {
		return err
	}
	s.intent.Transactions = append(s.intent.Transactions, signed)
	if err := s.checkpoint(s.intent); err != nil {
		s.intent.Transactions = s.intent.Transactions[:len(s.intent.Transactions)-1]
		return fmt.Errorf("checkpoint: %w", err)
	}
	return s.broadcast(ctx)
}

// broadcast sends the newest transaction. The response is not final: later polls read the chain.
func (s *sending) broadcast(ctx context.Context) error {
	tx := s.intent.last()
	var hash common.Hash
	err := s.c.rpc.CallContext(ctx, &hash, "eth_sendRawTransaction", tx.Raw)
	reason := refusal(err)
	if err != nil && reason != alreadyKnown {
		err = &EndpointError{Method: "eth_sendRawTransaction", Attempts: 1, Err: err}
	}
	switch reason {
	case accepted, alreadyKnown:
		s.accepted, s.sentAt = true, time.Now()
		s.note("sent, not mined")
	case noAnswer:
		// It is unknown whether it was sent; the same transaction is tried again.
		s.uncertain = true
		s.fail(ctx, err)
		if after := requestedPause(err); after > 0 {
			_ = pause.For(ctx, min(after, maxRetryAfter))
		}
	case tooEarly:
		// The node accepts it later, when those before it are mined or its pool has space.
		s.fail(ctx, err)
		s.note("the node does not accept it yet: %s", brief(err))
	case nonceTooLow:
		s.note("its nonce is used")
	case nonceTaken:
		if s.accepted || len(s.intent.Transactions) > 1 {
			s.fail(ctx, err)
			return nil
		}
		return &ReplacedError{From: s.intent.From, Nonce: s.intent.Nonce, unknown: !s.uncertain}
	case rejected:
		if s.accepted || s.uncertain {
			s.fail(ctx, err)
			return nil
		}
		s.c.Abandon(s.intent)
		return &RejectedError{Tx: tx.Hash, Err: err}
	}
	return nil
}

// refused is the reaction of a node to a transaction.
type refused int

const (
	accepted refused = iota
	noAnswer
	alreadyKnown
	nonceTooLow
	nonceTaken
	tooEarly
	rejected
)

// refusals are the error texts of geth, Erigon, Nethermind, Besu, Reth, hardhat and anvil, in lower case, in the
// order of the search. There are no codes for them.
var refusals = [...]struct {
	reason refused
	words  []string
}{
	{alreadyKnown, []string{"already known", "already imported", "known transaction", "alreadyknown", "already in mempool"}},
	{nonceTooLow, []string{"nonce too low", "nonce is too low", "oldnonce", "old nonce"}},
	// Hardhat does not queue what comes early; an account that is delegated (EIP-7702) has one transaction in flight;
	// pools have bounds.
	{tooEarly, []string{
		"nonce too high", "nonce is too high", "gapped nonce", "gapped-nonce", "nonce gap", "in-flight transaction limit", "delegated account",
		"future transaction tries to replace pending", "txpool is full", "transaction pool is full", "pool limit", "account limit exceeded",
		"address already reserved",
	}},
}

// refusal returns the reason why a node refuses a transaction. -32000 and -32003 are the codes of invalid
// transactions (EIP-1474).
func refusal(err error) refused {
	if err == nil {
		return accepted
	}
	var answered rpc.Error
	if !errors.As(err, &answered) {
		return noAnswer
	}
	text := strings.ToLower(answered.Error())
	for _, r := range refusals {
		for _, words := range r.words {
			if strings.Contains(text, words) {
				return r.reason
			}
		}
	}
	switch {
	case strings.Contains(text, "replace") && (strings.Contains(text, "replacement") || strings.Contains(text, "underpriced")):
		return nonceTaken
	case classify(err).transient():
		return noAnswer
	case answered.ErrorCode() == -32000 || answered.ErrorCode() == -32003:
		return rejected
	}
	return noAnswer
}

// nonceUsed handles a used nonce without a receipt: the endpoint lags, or another transaction took the nonce. The proof
// is that other transaction in a confirmed block. If the endpoint cannot search so far back, the proof is that the
// nonce is used at a confirmed block, and that no node has a transaction of the intent at several polls in a row.
func (s *sending) nonceUsed(ctx context.Context, h heads, known bool) error {
	s.note("its nonce is used, and the endpoint has no receipt")
	high, ok := s.c.confirmed(h)
	if !ok {
		return nil
	}
	used, by, err := s.c.nonceUser(ctx, s.intent, high)
	if err != nil {
		s.fail(ctx, err)
		return nil
	}
	if !used {
		return nil
	}
	for _, tx := range s.intent.Transactions {
		if tx.Hash == by {
			s.note("its nonce is used by itself, and the endpoint has no receipt")
			return nil
		}
	}
	if by == (common.Hash{}) {
		if s.absent++; known || s.absent < 2*patience {
			s.note("its nonce is used in a block that the endpoint cannot search")
			return nil
		}
	}
	return &ReplacedError{From: s.intent.From, Nonce: s.intent.Nonce, Mined: true, By: by, unknown: !s.uncertain && !s.accepted}
}
