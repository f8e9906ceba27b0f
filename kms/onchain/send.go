package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// SendOption changes how one change is sent.
type SendOption func(*sendConfig)

type sendConfig struct {
	checkpoint func(*Intent) error
	resume     *Intent
}

// Checkpoint calls save with the intent each time before something new is broadcast. An error of save ends
// the send, and what it was called for is not broadcast. Without a checkpoint a stuck transaction is not
// replaced, because a crash would lose the replacement.
func Checkpoint(save func(*Intent) error) SendOption {
	return func(c *sendConfig) { c.checkpoint = save }
}

// Resume goes on with an intent that a checkpoint saved, instead of preparing a new one. It must be for the
// same call. A nil intent is none.
func Resume(intent *Intent) SendOption {
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
// It fails with a [*RevertError] where the transaction was mined and failed, a [*ReplacedError] where another
// one took its nonce, a [*RejectedError] where the node does not take it, a [*PendingError] where it is not
// confirmed in time, and a [*ReceiptError] where the endpoint contradicts itself. An intent must not be sent
// by two goroutines at once.
func (c *Chain) Send(ctx context.Context, intent *Intent, opts ...SendOption) (*Receipt, error) {
	if err := intent.check(c.contract.ChainID); err != nil {
		return nil, err
	}
	s := &sending{
		tracker: tracker{c: c, contract: intent.Call.To, last: "not seen yet"},
		intent:  intent, checkpoint: sendOptions(opts).checkpoint,
	}
	return s.run(ctx)
}

// sending is one run of Send.
type sending struct {
	tracker
	intent     *Intent
	checkpoint func(*Intent) error
	// accepted tells that a node has or had a transaction of the intent.
	accepted bool
	sentAt   time.Time
}

func (s *sending) run(ctx context.Context) (*Receipt, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.c.cfg.wait)
	defer cancel()
	for {
		mined, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		if mined != nil && *mined.Status == 0 {
			return nil, s.c.reverted(ctx, s.intent.From, s.intent.Call, mined)
		}
		if mined != nil {
			return mined.receipt(), nil
		}
		select {
		case <-ctx.Done():
			return nil, &PendingError{Intent: s.intent, Tx: s.intent.last().Hash, Waited: time.Since(began), Last: s.last, Err: errors.Join(ctx.Err(), s.lastErr)}
		case <-time.After(s.c.cfg.poll):
		}
	}
}

// look asks once how things stand and does what is to be done. It gives the receipt when it is confirmed.
func (s *sending) look(ctx context.Context) (*wireReceipt, error) {
	n := len(s.intent.Transactions)
	receipts, known := make([]*wireReceipt, n), make([]*struct {
		Hash common.Hash `json:"hash"`
	}, n)
	var head *header
	var nonce hexutil.Uint64
	elems := []rpc.BatchElem{
		request(&head, "eth_getBlockByNumber", "latest", false),
		request(&nonce, "eth_getTransactionCount", s.intent.From, "latest"),
	}
	for i, tx := range s.intent.Transactions {
		elems = append(elems, request(&receipts[i], "eth_getTransactionReceipt", tx.Hash), request(&known[i], "eth_getTransactionByHash", tx.Hash))
	}
	if err := s.c.batch(ctx, elems); err != nil {
		s.fail(ctx, err)
		return nil, nil
	}
	if err := firstError(elems); err != nil || head == nil {
		s.fail(ctx, err)
		return nil, nil
	}
	seen := false
	for i, r := range receipts {
		s.accepted = s.accepted || known[i] != nil || r != nil
		if r == nil {
			continue
		}
		// After a reorganisation a node may still show the receipt of one that is no longer in the chain.
		seen = true
		if mined, err := s.confirm(ctx, r, s.intent.Transactions[i].Hash, uint64(head.Number)); mined != nil || err != nil {
			return mined, err
		}
	}
	if seen {
		return nil, nil
	}
	s.odd = 0
	if uint64(nonce) > s.intent.Nonce {
		return nil, s.nonceUsed(ctx, head)
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
		return nil, s.replace(ctx, head)
	}
	return nil, nil
}

// nonceUsed decides what it means that the nonce is used and no receipt is there: the endpoint lags, or
// another transaction took it. Only the other transaction itself, deep enough in the chain, is proof.
func (s *sending) nonceUsed(ctx context.Context, head *header) error {
	s.note("its nonce is used, and the endpoint has no receipt")
	if uint64(head.Number)+1 < s.c.cfg.confirmations {
		return nil
	}
	by, err := s.c.nonceUser(ctx, s.intent.From, s.intent.Nonce, s.intent.Block, uint64(head.Number)+1-s.c.cfg.confirmations)
	if err != nil {
		s.fail(ctx, err)
		return nil
	}
	if by == (common.Hash{}) {
		return nil
	}
	for _, tx := range s.intent.Transactions {
		if tx.Hash == by {
			s.note("its nonce is used by itself, and the endpoint has no receipt")
			return nil
		}
	}
	return &ReplacedError{From: s.intent.From, Nonce: s.intent.Nonce, By: by}
}

// nonceUser finds the transaction with a nonce of an account up to block high, or gives zero; low is where it
// is first looked for. It searches for the block after which the account's count is higher.
func (c *Chain) nonceUser(ctx context.Context, from common.Address, nonce, low, high uint64) (common.Hash, error) {
	used := func(block uint64) (bool, error) {
		var count hexutil.Uint64
		err := c.rpc.CallContext(ctx, &count, "eth_getTransactionCount", from, blockTag(block))
		if err != nil {
			return false, fmt.Errorf("eth_getTransactionCount: %w", withoutAddress(err))
		}
		return uint64(count) > nonce, nil
	}
	if yes, err := used(high); err != nil || !yes {
		return common.Hash{}, err
	}
	low = min(low, high)
	// An endpoint that lagged gives a nonce that was used before.
	for low > 0 {
		yes, err := used(low)
		if err != nil {
			return common.Hash{}, err
		}
		if !yes {
			break
		}
		low -= min(low, maxBlockRange)
	}
	for low < high {
		middle := low + (high-low)/2
		yes, err := used(middle)
		if err != nil {
			return common.Hash{}, err
		}
		if yes {
			high = middle
		} else {
			low = middle + 1
		}
	}
	var block *struct {
		Transactions []struct {
			Hash  common.Hash    `json:"hash"`
			From  common.Address `json:"from"`
			Nonce hexutil.Uint64 `json:"nonce"`
		} `json:"transactions"`
	}
	if err := c.rpc.CallContext(ctx, &block, "eth_getBlockByNumber", blockTag(low), true); err != nil {
		return common.Hash{}, fmt.Errorf("eth_getBlockByNumber: %w", withoutAddress(err))
	}
	if block == nil {
		return common.Hash{}, nil
	}
	for _, tx := range block.Transactions {
		if tx.From == from && uint64(tx.Nonce) == nonce {
			return tx.Hash, nil
		}
	}
	return common.Hash{}, nil
}

// broadcast sends the newest transaction. Whatever happens to it, only the chain's word counts later.
func (s *sending) broadcast(ctx context.Context) error {
	tx := s.intent.last()
	var hash common.Hash
	err := s.c.rpc.CallContext(ctx, &hash, "eth_sendRawTransaction", tx.Raw)
	var answered rpc.Error
	switch reason := refusal(err); {
	case err == nil || reason == alreadyKnown:
		s.accepted, s.sentAt = true, time.Now()
		s.note("sent, not mined")
	case !errors.As(err, &answered):
		// Sent or not, nobody knows; the same transaction is tried again.
		s.fail(ctx, fmt.Errorf("eth_sendRawTransaction: %w", withoutAddress(err)))
	case reason == nonceTooLow:
		s.note("its nonce is used")
	case s.accepted || len(s.intent.Transactions) > 1:
		s.fail(ctx, answered)
	case reason == nonceTaken:
		return &ReplacedError{From: s.intent.From, Nonce: s.intent.Nonce}
	case reason == rejected:
		s.c.Abandon(s.intent)
		return &RejectedError{Tx: tx.Hash, Err: answered}
	default:
		s.fail(ctx, answered)
	}
	return nil
}

type refused int

const (
	notRefused refused = iota
	alreadyKnown
	nonceTooLow
	nonceTaken
	rejected
)

// refusal reads why a node does not take a transaction. There are no codes for it: the words are those of
// geth, Erigon, Nethermind, Besu and Reth; -32000 and -32003 are their codes for bad transactions (EIP-1474).
func refusal(err error) refused {
	var answered rpc.Error
	if !errors.As(err, &answered) {
		return notRefused
	}
	text := strings.ToLower(answered.Error())
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("already known", "already imported", "known transaction", "alreadyknown"):
		return alreadyKnown
	case has("nonce too low", "nonce is too low", "oldnonce", "old nonce"):
		return nonceTooLow
	case has("replacement", "underpriced") && has("replace"):
		return nonceTaken
	case answered.ErrorCode() == -32000 || answered.ErrorCode() == -32003:
		return rejected
	}
	return notRefused
}

// replace signs the same call with the same nonce and higher fees, and sends it when the checkpoint has it.
func (s *sending) replace(ctx context.Context, head *header) error {
	stuck, err := decodeTx(s.intent.last().Raw)
	if err != nil {
		return err
	}
	var tip hexutil.Big
	if err := s.c.rpc.CallContext(ctx, &tip, "eth_maxPriorityFeePerGas"); err != nil {
		s.fail(ctx, fmt.Errorf("eth_maxPriorityFeePerGas: %w", withoutAddress(err)))
		return nil
	}
	now, err := s.c.fees(*head, tip.ToInt())
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
