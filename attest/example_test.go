package attest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// A real policy leaves Roots and Now alone and gets collateral from Intel:
//
//	Collateral: attest.NewCollateralCache(attest.IntelPCS(nil)).Collateral
func ExampleVerify() {
	authority, err := quotetest.New()
	if err != nil {
		log.Fatal(err)
	}
	app := kms.AppID{0xab}
	text := `{"manifest_version":2,"name":"web","runner":"docker-compose"}`
	evidence, err := authority.Evidence(quotetest.Spec{AppID: app, AppCompose: text})
	if err != nil {
		log.Fatal(err)
	}

	policy := authority.Policy()
	policy.AppID = app
	policy.ComposeHashes = []compose.Hash{compose.Sum([]byte(text))}
	policy.KMSRootCAs = [][]byte{quotetest.KMSRootCA()}
	report, err := attest.Verify(context.Background(), evidence, policy)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verified, report.Attested.ComposeHash)
	fmt.Println(attest.CheckMeasurements, report.Check(attest.CheckMeasurements).Outcome)

	// Somebody shows another text than the one that runs.
	evidence.AppCompose += " "
	_, err = attest.Verify(context.Background(), evidence, policy)
	fmt.Println(errors.Is(err, attest.ErrComposeText))
	fmt.Println(err)
	// Output:
	// true c62d8830930a4094860a0ef7822f3105a662ec44dd59a382e7cc7172cb94ff79
	// measurements not asked
	// true
	// attestation not verified: compose-text: another app-compose text than the measured one (expected c62d8830930a4094860a0ef7822f3105a662ec44dd59a382e7cc7172cb94ff79, actual dbb2036cf47788907d34360f8c87931f023359fa977ed3d21a031ca12487e9f1)
}

// A client that talks only to the app, whatever name or certificate authority stands before it.
func ExamplePeer() {
	authority, err := quotetest.New()
	if err != nil {
		log.Fatal(err)
	}
	policy := authority.Policy()
	policy.AppID = kms.AppID{0xab}
	policy.ComposeHashes = []compose.Hash{compose.Sum([]byte(`{"name":"web"}`))}
	peer := &attest.Peer{Policy: policy}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: peer.TLSConfig()}}
	_ = client // client.Get("https://…") fails unless that app answers

	certificate, _, err := authority.Certificate(quotetest.Spec{AppID: kms.AppID{0xab}, AppCompose: `{"name":"web"}`})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(peer.VerifyPeerCertificate(certificate.Certificate, nil))
	certificate, _, err = authority.Certificate(quotetest.Spec{AppID: kms.AppID{0xab}, AppCompose: `{"name":"other"}`})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(peer.VerifyPeerCertificate(certificate.Certificate, nil), attest.ErrComposeHash))
	// Output:
	// <nil>
	// true
}

func ExampleReplay() {
	event, err := quotetest.RuntimeEvent(1, "app-id", make([]byte, 20))
	if err != nil {
		log.Fatal(err)
	}
	registers, err := attest.Replay([]attest.Event{event})
	fmt.Println(registers[3], err)
	event.Payload = []byte("another app")
	_, err = attest.Replay([]attest.Event{event})
	fmt.Println(errors.Is(err, attest.ErrEventDigest))
	// Output:
	// c7e837a8f6781f30c0ae655d1c9e2566435a4005bcb8a36041e20e1c8d1993c88a317c5a43bcebb9e898667fea22253a <nil>
	// true
}
