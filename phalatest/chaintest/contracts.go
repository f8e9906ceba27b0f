package chaintest

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// The compiled contracts of kms/onchain/testdata/solidity.
//
//go:embed contracts.gen.json
var compiled []byte

type contract struct {
	ABI      abi.ABI       `json:"abi"`
	Bytecode hexutil.Bytes `json:"bytecode"`
}

func contracts() (map[string]contract, error) {
	var file struct {
		Contracts map[string]contract `json:"contracts"`
	}
	if err := json.Unmarshal(compiled, &file); err != nil {
		return nil, fmt.Errorf("the compiled contracts: %w", err)
	}
	return file.Contracts, nil
}

// Generation is one of the generations of the contracts.
type Generation int

const (
	// Head is the newest: two-step ownership, PolicyChanged events.
	Head Generation = iota
	// V0511 is what came between dstack 0.5.11 and the newest: two-step ownership without the events.
	V0511
	// V059 is dstack 0.5.9 to 0.5.11: one-step ownership, the TCB flag.
	V059
	// SixArguments is a commit before dstack 0.5.9 that has the factory with six arguments only.
	SixArguments
	// V054 is dstack 0.5.4 to 0.5.8: one-step ownership, the factory with five arguments only.
	V054
)

func (g Generation) names() (kms, app string, err error) {
	switch g {
	case Head:
		return "DstackKmsHead", "DstackAppHead", nil
	case V0511:
		return "DstackKms0511", "DstackApp0511", nil
	case V059:
		return "DstackKms059", "DstackApp059", nil
	case SixArguments:
		return "DstackKmsSix", "DstackApp059", nil
	case V054:
		return "DstackKms054", "DstackApp054", nil
	}
	return "", "", fmt.Errorf("generation %d is not known", int(g))
}
