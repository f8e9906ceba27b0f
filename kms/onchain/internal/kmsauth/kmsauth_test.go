package kmsauth

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSelectorsAndTopics(t *testing.T) {
	t.Parallel()
	contract := NewKmsAuth().GetABI()
	got := map[string]string{}
	for _, m := range contract.Methods {
		got[m.Sig] = hex.EncodeToString(m.ID)
	}
	for _, e := range contract.Events {
		got[e.Sig] = hex.EncodeToString(e.ID[:])
	}
	assert.Equal(t, map[string]string{
		"apps(address)":                     "1309ec43",
		"nextAppId()":                       "38226c2a",
		"nextAppSequence(address)":          "b7b556eb",
		"appAuthImplementation()":           "65638829",
		"setAppAuthImplementation(address)": "2cb14032",
		"initialize(address)":               "c4d66de8",
		"registerApp(address)":              "17a1d80f", // as in DstackKms, with another meaning
		"deployAndRegisterApp(address,bool,bool,bytes32,bytes32)": "8618169d", // as in DstackKms, with another result
		"AppDeployedViaFactory(address,address,address)":          "3ad767c8b7c60bfe0c6bb711fb7ea4be06d90bdf29c6114f3e0c4054e03c2543",
		"AppAuthImplementationSet(address)":                       "72eff6cd08df1c809dd1c76cac29b34c5bceb628ba05c4ec612eca6aae43b67d",
	}, got)
}
