package onchain

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
)

// broadcast sends the newest transaction. Whatever the node returns, only the chain decides later.
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
		if after := pauseAsked(err); after > 0 {
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
	case classify(err).passes():
		return noAnswer
	case answered.ErrorCode() == -32000 || answered.ErrorCode() == -32003:
		return rejected
	}
	return noAnswer
}

// nonceUsed decides what it means that the nonce is used and no receipt is there: the endpoint lags, or another
// transaction took it. Proof is the other transaction itself, deep enough in the chain. If the endpoint cannot
// search that far back, it is that the nonce is used at a confirmed block, and that no node knows a transaction of
// the intent at several looks in a row.
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
