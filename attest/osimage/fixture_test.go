package osimage

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// evidence reads a recorded case of real hardware; tests skip where the folder is absent.
type evidence struct {
	Quote    string `json:"quote"`
	VMConfig string `json:"vm_config"`
	EventLog []struct {
		IMR    int    `json:"imr"`
		Type   uint32 `json:"event_type"`
		Digest string `json:"digest"`
	} `json:"event_log"`
}

func readEvidence(t testing.TB, name string) evidence {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "evidence", "cases", name+".json"))
	if err != nil {
		t.Skip("no recorded evidence here")
	}
	var e evidence
	require.NoError(t, json.Unmarshal(data, &e))
	return e
}

// registers of the quote; the offsets are those of version 4.
func (e evidence) registers(t testing.TB) Registers {
	t.Helper()
	raw, err := hex.DecodeString(e.Quote)
	require.NoError(t, err)
	require.Equal(t, uint16(4), binary.LittleEndian.Uint16(raw))
	at := func(offset int) Digest { return Digest(raw[offset : offset+48]) }
	return Registers{MRTD: at(184), RTMR0: at(376), RTMR1: at(424), RTMR2: at(472)}
}

// digests of the log, by register and type.
func (e evidence) digests(t testing.TB, imr int, kind uint32) []Digest {
	t.Helper()
	var found []Digest
	for _, event := range e.EventLog {
		if event.IMR == imr && event.Type == kind {
			raw, err := hex.DecodeString(event.Digest)
			require.NoError(t, err)
			found = append(found, Digest(raw))
		}
	}
	return found
}

// material of a guest with dstack 0.6.
func (e evidence) material(t testing.TB) Material {
	t.Helper()
	config, err := ParseVMConfig(e.VMConfig)
	require.NoError(t, err)
	require.NotNil(t, config.Material)
	return *config.Material
}

const (
	typeHandoff = 0x8000000b
	typeACPI    = 10
)
