package onchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// An app is deployed, a second compose hash is allowed, and somebody else is refused.
func Example() {
	test, stop, err := chaintest.Start() // a chain in this process; else onchain.Dial
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	signer, _ := onchain.PrivateKeySigner(test.Accounts[0])
	chain, err := onchain.Open(ctx, test, test.Contract(), onchain.WithSigner(signer), onchain.WithPollInterval(10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := chain.KMSInfo(ctx)
	fmt.Println("root key pinned:", err == nil && kms.CheckSigner(info.RootKey, test.Root()) == nil)

	hash, device := [32]byte{1}, [32]byte{2}
	done, err := chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash, Device: device})
	if err != nil {
		fmt.Println(err)
		return
	}
	next := [32]byte{3}
	if _, err := chain.AddComposeHash(ctx, done.App, next); err != nil {
		fmt.Println(err)
		return
	}
	allowed, err := chain.Allowance(ctx, done.App, next, device)
	fmt.Println("may boot:", allowed.OK(), err)

	other, _ := onchain.PrivateKeySigner(test.Accounts[1])
	stranger, _ := onchain.Open(ctx, test, test.Contract(), onchain.WithSigner(other))
	_, err = stranger.AddComposeHash(ctx, done.App, [32]byte{4})
	var unauthorized *onchain.UnauthorizedAccountError
	fmt.Println("refused:", errors.As(err, &unauthorized) && unauthorized.Account == test.Address(1))
	// Output:
	// root key pinned: true
	// may boot: true <nil>
	// refused: true
}

// A process ends after it has sent; another goes on with what was saved. One app is deployed.
func ExampleResumeIntent() {
	test, stop, err := chaintest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	spec := kms.AppContract{ComposeHash: [32]byte{1}, AllowAnyDevice: true}

	var file []byte
	first, _ := test.Open(ctx)
	_, _ = first.DeployApp(ctx, spec, onchain.Checkpoint(func(intent *onchain.Intent) (err error) {
		file, err = json.Marshal(intent) // before anything is sent
		return err
	}))

	var intent onchain.Intent
	if err := json.Unmarshal(file, &intent); err != nil {
		fmt.Println(err)
		return
	}
	second, _ := test.Open(ctx)
	done, err := second.DeployApp(ctx, spec, onchain.ResumeIntent(&intent))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(test.Sent()), done.Receipt.Tx == test.Sent()[0])
	// Output: 1 true
}

// What a Safe shall execute, as a file for its transaction builder.
func ExampleProposal_SafeBatch() {
	app, _ := kms.ParseAppID("00112233445566778899aabbccddeeff00112233")
	call, _ := onchain.AddComposeHashCall(app, [32]byte{31: 1})
	proposal := onchain.Proposal{ // from Chain.Propose, which tries the calls
		ChainID: 8453, From: common.HexToAddress("0x1111111111111111111111111111111111111111"), Calls: []onchain.Call{call},
	}
	file, err := proposal.SafeBatch("Allow a compose hash", time.UnixMilli(1700000000000))
	fmt.Println(string(file), err)
	// Output:
	// {
	//   "version": "1.0",
	//   "chainId": "8453",
	//   "createdAt": 1700000000000,
	//   "meta": {
	//     "name": "Allow a compose hash",
	//     "description": "allow compose hash 0000000000000000000000000000000000000000000000000000000000000001 for app 00112233445566778899aabbccddeeff00112233",
	//     "createdFromSafeAddress": "0x1111111111111111111111111111111111111111",
	//     "checksum": "0xda8b1918196f252dcd8ad67ce3290657d47616867b222ae60d2d8e1f2fb0f4f7"
	//   },
	//   "transactions": [
	//     {
	//       "to": "0x00112233445566778899AABbCCdDeeFf00112233",
	//       "value": "0",
	//       "data": null,
	//       "contractMethod": {
	//         "inputs": [
	//           {
	//             "internalType": "bytes32",
	//             "name": "composeHash",
	//             "type": "bytes32"
	//           }
	//         ],
	//         "name": "addComposeHash",
	//         "payable": false
	//       },
	//       "contractInputsValues": {
	//         "composeHash": "0x0000000000000000000000000000000000000000000000000000000000000001"
	//       }
	//     }
	//   ]
	// } <nil>
}
