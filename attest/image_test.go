package attest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// opened writes an image into a directory and opens it.
func opened(t *testing.T, image *quotetest.OSImage) *osimage.Image {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, image.Write(dir))
	known, err := osimage.Open(dir)
	require.NoError(t, err)
	return known
}

func byHash(t *testing.T, image *quotetest.OSImage) *osimage.Image {
	t.Helper()
	hash, err := image.Hash()
	require.NoError(t, err)
	images, err := osimage.ByHash(hash.String())
	require.NoError(t, err)
	return images[0]
}

// booted is the evidence of a guest that booted the image, with a log as in its certificate.
func booted(t *testing.T, a *quotetest.Authority, image *quotetest.OSImage, changes ...quotetest.Change) attest.Evidence {
	t.Helper()
	s := spec()
	s.OSImageHash = [32]byte{} // the image's own
	s.OSImage = image
	e := sign(t, a, s, changes...)
	e.EventLog = quotetest.Strip(e.EventLog)
	return e
}

func TestVerify_ImageByHash(t *testing.T) {
	t.Parallel()
	a, image := newAuthority(t), quotetest.NewOSImage("good")
	p := a.Policy()
	p.Images = []*osimage.Image{byHash(t, quotetest.NewOSImage("other")), byHash(t, image)}
	r, err := attest.Verify(t.Context(), booted(t, a, image), p)
	require.NoError(t, err)
	assert.Equal(t, attest.Passed, r.Check(attest.CheckMeasurements).Outcome)
	assert.Contains(t, r.Check(attest.CheckMeasurements).Detail, "computed from the image")
	assert.Equal(t, attest.Passed, r.Check(attest.CheckProductionOS).Outcome)
	assert.Equal(t, &attest.OSImage{Hash: p.Images[1].Hash, Expected: true}, r.Attested.OSImage)

	t.Run("with a full log", func(t *testing.T) {
		t.Parallel()
		s := spec()
		s.OSImage = image
		e := sign(t, a, s)
		r, err := attest.Verify(t.Context(), e, p)
		require.NoError(t, err)
		assert.Contains(t, r.Check(attest.CheckEventLog).Detail, "29 events, RTMR0, RTMR1, RTMR2, RTMR3")
		// The size of the memory follows from the log as well.
		e.VMConfig = strings.Replace(e.VMConfig, "memory_size", "x", 1)
		_, err = attest.Verify(t.Context(), e, p)
		assert.NoError(t, err)
	})
	t.Run("measured in two passes", func(t *testing.T) {
		t.Parallel()
		_, err := attest.Verify(t.Context(), booted(t, a, image, quotetest.ChangeQuote(func(q *attest.Quote) {
			q.MRTD = image.Digests.MRTDTwoPass
		})), p)
		assert.NoError(t, err)
	})
	t.Run("large memory", func(t *testing.T) {
		t.Parallel()
		large := *image
		large.Memory = 64 << 30
		_, err := attest.Verify(t.Context(), booted(t, a, &large), p)
		assert.NoError(t, err)
	})
	t.Run("another image", func(t *testing.T) {
		t.Parallel()
		_, err := attest.Verify(t.Context(), booted(t, a, quotetest.NewOSImage("forged")), p)
		requireOnly(t, err, attest.ErrMeasurement)
		assert.ErrorContains(t, err, "the guest sent the material of os image")
	})
	t.Run("a register that the image does not have", func(t *testing.T) {
		t.Parallel()
		for name, change := range map[string]func(*attest.Quote){
			"MRTD":  func(q *attest.Quote) { q.MRTD[0] ^= 1 },
			"RTMR0": func(q *attest.Quote) { q.RTMR[0][47] ^= 1 },
			"RTMR1": func(q *attest.Quote) { q.RTMR[1][1] ^= 1 },
			"RTMR2": func(q *attest.Quote) { q.RTMR[2][9] ^= 1 },
		} {
			_, err := attest.Verify(t.Context(), booted(t, a, image, quotetest.ChangeQuote(change)), p)
			requireOnly(t, err, attest.ErrMeasurement)
			assert.ErrorContains(t, err, "except "+name)
		}
	})
	t.Run("material of the good image for another guest", func(t *testing.T) {
		t.Parallel()
		e := booted(t, a, quotetest.NewOSImage("forged"))
		e.VMConfig = booted(t, a, image).VMConfig
		_, err := attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrMeasurement)
		assert.ErrorContains(t, err, "except MRTD, RTMR1, RTMR2")
	})
	t.Run("another memory than the guest has", func(t *testing.T) {
		t.Parallel()
		e := booted(t, a, image)
		e.VMConfig = strings.Replace(e.VMConfig, fmt.Sprint(image.Memory), fmt.Sprint(int64(4)<<30), 1)
		_, err := attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrMeasurement)
		assert.ErrorContains(t, err, "except RTMR0")
	})
	for name, change := range map[string]func(*attest.Evidence){
		"no vm_config":      func(e *attest.Evidence) { e.VMConfig = "" },
		"vm_config is text": func(e *attest.Evidence) { e.VMConfig = "x" },
		"no material":       func(e *attest.Evidence) { e.VMConfig = `{"memory_size":2147483648}` },
		"a size of 1 GiB":   func(e *attest.Evidence) { e.VMConfig = strings.Replace(e.VMConfig, "2147483648", "1073741824", 1) },
		"no size of memory": func(e *attest.Evidence) { e.VMConfig = strings.Replace(e.VMConfig, "memory_size", "x", 1) },
		"no ACPI digests":   func(e *attest.Evidence) { e.EventLog = e.EventLog[3:] },
		"damaged material": func(e *attest.Evidence) {
			e.VMConfig = strings.Replace(e.VMConfig, `"measurement":"o2`, `"measurement":"o3`, 1)
		},
		"a size beyond TDX": func(e *attest.Evidence) {
			e.VMConfig = strings.Replace(e.VMConfig, "2147483648", "9223372036854775807", 1)
		},
		"the material empty": func(e *attest.Evidence) { e.VMConfig = `{"tdx_measurement":{}}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := booted(t, a, image)
			before := e.VMConfig
			change(&e)
			if strings.HasPrefix(name, "damaged") {
				require.NotEqual(t, before, e.VMConfig)
			}
			r, err := attest.Verify(t.Context(), e, p)
			requireOnly(t, err, attest.ErrMeasurement)
			require.ErrorIs(t, err, attest.ErrNotPossible)
			assert.Equal(t, attest.NotPossible, r.Check(attest.CheckMeasurements).Outcome)
			assert.Equal(t, attest.NotPossible, r.Check(attest.CheckProductionOS).Outcome)
			assert.Nil(t, r.Attested.OSImage)
		})
	}
}

// A guest that sends no material is compared with the image that the caller has.
func TestVerify_ImageOpened(t *testing.T) {
	t.Parallel()
	a, image := newAuthority(t), quotetest.NewOSImage("good")
	image.Version, image.HashOnly = "0.5.4", true
	p := a.Policy()
	p.Images = []*osimage.Image{opened(t, quotetest.NewOSImage("other")), opened(t, image)}
	r, err := attest.Verify(t.Context(), booted(t, a, image), p)
	require.NoError(t, err)
	assert.Contains(t, r.Check(attest.CheckProductionOS).Actual, "dstack 0.5.4, production, os image")
	assert.Equal(t, "0.5.4", r.Attested.OSImage.Version)

	t.Run("by its hash alone", func(t *testing.T) {
		t.Parallel()
		p := a.Policy()
		p.Images = []*osimage.Image{byHash(t, image)}
		_, err := attest.Verify(t.Context(), booted(t, a, image), p)
		requireOnly(t, err, attest.ErrMeasurement)
		assert.ErrorContains(t, err, "osimage.Open")
	})
	t.Run("another image", func(t *testing.T) {
		t.Parallel()
		forged := quotetest.NewOSImage("forged")
		forged.HashOnly = true
		r, err := attest.Verify(t.Context(), booted(t, a, forged), p)
		requireOnly(t, err, attest.ErrMeasurement)
		assert.Equal(t, attest.Failed, r.Check(attest.CheckMeasurements).Outcome)
		assert.ErrorContains(t, err, "closest is dstack")
	})
	t.Run("without ACPI digests RTMR0 is not compared", func(t *testing.T) {
		t.Parallel()
		e := booted(t, a, image, quotetest.ChangeQuote(func(q *attest.Quote) { q.RTMR[0][0] ^= 1 }))
		e.EventLog = e.EventLog[3:]
		r, err := attest.Verify(t.Context(), e, p)
		require.NoError(t, err)
		assert.Contains(t, r.Check(attest.CheckMeasurements).Detail, "RTMR0 is not compared")
		e.EventLog = booted(t, a, image).EventLog
		_, err = attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrMeasurement)
	})
	t.Run("beside known registers", func(t *testing.T) {
		t.Parallel()
		forged := booted(t, a, quotetest.NewOSImage("elsewhere"))
		q, err := attest.ParseQuote(forged.Quote)
		require.NoError(t, err)
		p := p
		p.Measurements = []attest.KnownGood{{Name: "mine", MRTD: q.MRTD, RTMR1: q.RTMR[1], RTMR2: q.RTMR[2]}}
		r, err := attest.Verify(t.Context(), forged, p)
		require.NoError(t, err)
		assert.Equal(t, "mine", r.Check(attest.CheckMeasurements).Detail)
		assert.Equal(t, attest.NotAsked, r.Check(attest.CheckProductionOS).Outcome, "known registers tell no kind")
	})
}

func TestVerify_DevelopmentImage(t *testing.T) {
	t.Parallel()
	a, image := newAuthority(t), quotetest.NewOSImage("dev")
	image.Development = true
	e := booted(t, a, image)
	unnamed := e
	unnamed.VMConfig = strings.Replace(e.VMConfig, "dstack-dev-0.6.0", "", 1)
	statedDev := byHash(t, image)
	statedDev.Development = true

	t.Run("named so, without any policy", func(t *testing.T) {
		t.Parallel()
		r, err := attest.Verify(t.Context(), e, a.Policy())
		requireOnly(t, err, attest.ErrDevelopmentOS)
		assert.Contains(t, r.Check(attest.CheckProductionOS).Actual, "dstack-dev-0.6.0")
		waived := a.Policy()
		waived.Waive = []attest.CheckName{attest.CheckProductionOS}
		_, err = attest.Verify(t.Context(), e, waived)
		assert.NoError(t, err)
	})
	t.Run("named so in the answer of the API", func(t *testing.T) {
		t.Parallel()
		for name, bad := range map[string]bool{
			"dstack-dev-0.5.4": true, "dstack-nvidia-dev-0.5.4": true, "dstack-0.5.4": false, "dstack-nvidia-0.5.4": false, "devstack-0.5": false,
		} {
			renamed := unnamed
			renamed.OSImage = name
			_, err := attest.Verify(t.Context(), renamed, a.Policy())
			if bad {
				requireOnly(t, err, attest.ErrDevelopmentOS)
			} else {
				assert.NoError(t, err, name)
			}
		}
	})
	t.Run("by its metadata, whatever the host names it", func(t *testing.T) {
		t.Parallel()
		p := a.Policy()
		p.Images = []*osimage.Image{opened(t, image)}
		_, err := attest.Verify(t.Context(), unnamed, p)
		requireOnly(t, err, attest.ErrDevelopmentOS)
		p.Images = []*osimage.Image{statedDev}
		_, err = attest.Verify(t.Context(), unnamed, p)
		requireOnly(t, err, attest.ErrDevelopmentOS)
	})
	t.Run("by its name, whatever the caller thinks of the hash", func(t *testing.T) {
		t.Parallel()
		p := a.Policy()
		p.Images = []*osimage.Image{byHash(t, image)}
		_, err := attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrDevelopmentOS)
	})
}

// Without a policy the report names the image that the registers follow from, and the line that requires it.
func TestVerify_ReportNamesTheImage(t *testing.T) {
	t.Parallel()
	a, image := newAuthority(t), quotetest.NewOSImage("good")
	r, err := attest.Verify(t.Context(), booted(t, a, image), a.Policy())
	require.NoError(t, err)
	c := r.Check(attest.CheckMeasurements)
	hash, err := image.Hash()
	require.NoError(t, err)
	assert.Equal(t, attest.NotAsked, c.Outcome)
	assert.Contains(t, c.Detail, "computed from the os image "+hash.String())
	assert.Equal(t, fmt.Sprintf("policy.Images, err = osimage.ByHash(%q)", hash), c.Pin)
	assert.Equal(t, &attest.OSImage{Hash: hash}, r.Attested.OSImage)
	assert.Contains(t, r.String(), c.Pin)

	forged := booted(t, a, image, quotetest.ChangeQuote(func(q *attest.Quote) { q.RTMR[2][0] ^= 1 }))
	r, err = attest.Verify(t.Context(), forged, a.Policy())
	require.NoError(t, err)
	assert.Contains(t, r.Check(attest.CheckMeasurements).Detail, "does not follow from the os image")
	assert.Empty(t, r.Check(attest.CheckMeasurements).Pin)
	assert.Nil(t, r.Attested.OSImage)
}

func TestPolicy_ImageWithoutHash(t *testing.T) {
	t.Parallel()
	for _, images := range [][]*osimage.Image{{nil}, {{Version: "0.6.0"}}} {
		p := attest.Policy{Images: images}
		require.ErrorIs(t, p.Validate(), attest.ErrPolicy)
	}
}

// A real guest with dstack 0.6 is verified whole, down to its image, of which the policy knows the hash alone.
func TestVerify_RealImage(t *testing.T) {
	t.Parallel()
	c := readRecorded(t, "dstack-tdx-lite-getquote")
	e, p := c.evidence(t), c.policy(t)
	var more struct {
		VMConfig string `json:"vm_config"`
	}
	readJSON(t, filepath.Join("cases", "dstack-tdx-lite-getquote.json"), &more)
	e.VMConfig = more.VMConfig
	events, err := attest.ReadBootEvents(e.EventLog)
	require.NoError(t, err)
	p.ComposeHashes = []compose.Hash{events.ComposeHash}
	p.Images, err = osimage.ByHash("e6f5cfec20c02e7b97baa213d0f718020b55e040172d90ccbcb946d56c8b09db")
	require.NoError(t, err)
	p.Images[0].Version = "0.6.0"
	r, err := attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	assert.Equal(t, attest.Passed, r.Check(attest.CheckMeasurements).Outcome)
	assert.NotContains(t, r.Check(attest.CheckMeasurements).Detail, "may be any")
	assert.Equal(t, &attest.OSImage{Hash: p.Images[0].Hash, Version: "0.6.0", Expected: true}, r.Attested.OSImage)
	assert.Contains(t, r.Check(attest.CheckProductionOS).Actual, "dstack 0.6.0, production")

	t.Run("as in its certificate", func(t *testing.T) {
		t.Parallel()
		raw, err := quotetest.Attestation(attest.Evidence{Quote: e.Quote, EventLog: quotetest.Strip(e.EventLog), VMConfig: e.VMConfig}, quotetest.SCALE)
		require.NoError(t, err)
		read, err := attest.FromAttestation(raw)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), read, p)
		assert.NoError(t, err)
	})
	t.Run("the attestation of the same machine", func(t *testing.T) {
		t.Parallel()
		log, err := attest.ParseEventLog(recorded(t, "dstack-tdx-lite-attestation.log.json"))
		require.NoError(t, err)
		other := attest.Evidence{Quote: recorded(t, "dstack-tdx-lite-attestation.quote"), EventLog: log, VMConfig: e.VMConfig}
		_, err = attest.Verify(t.Context(), other, p)
		assert.NoError(t, err)
	})
	t.Run("the image of the event is another one", func(t *testing.T) {
		t.Parallel()
		p := p
		var err error
		p.Images, err = osimage.ByHash(events.OSImageHash)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrMeasurement)
	})
	t.Run("each part of the material counts", func(t *testing.T) {
		t.Parallel()
		at := strings.Index(e.VMConfig, `"measurement":"`) + len(`"measurement":"`)
		end := at + strings.IndexByte(e.VMConfig[at:], '"')
		for i := at; i < end; i += 7 {
			changed := e
			with := "A"
			if e.VMConfig[i] == 'A' {
				with = "B"
			}
			changed.VMConfig = e.VMConfig[:i] + with + e.VMConfig[i+1:]
			_, err := attest.Verify(t.Context(), changed, p)
			requireOnly(t, err, attest.ErrMeasurement)
		}
	})
}
