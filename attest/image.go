package attest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/phala-go/phala/attest/osimage"
)

// OSImage is the report's information about the image of the operating system.
type OSImage struct {
	// Hash identifies the image.
	Hash osimage.ImageHash `json:"hash"`
	// Version of dstack; empty if the policy does not know it.
	Version string `json:"version,omitempty"`
	// Development is true for an image that allows its operator to log in, if the policy contains it.
	Development bool `json:"development,omitempty"`
	// Expected is true if the image is one of the policy's. If not, the registers follow from the hash, but the policy
	// does not accept the image.
	Expected bool `json:"expected"`
}

// typeHandoff is the type of the event in which the firmware measures its hand-off block.
const typeHandoff = 0x8000000b

// machine returns the inputs of the registers besides the image. They are not trusted: with a false one, the computed
// registers differ from those of the quote.
func (v *verifier) machine(config osimage.VMConfig) osimage.Machine {
	m := osimage.Machine{Memory: config.Memory, ACPI: acpiDigests(v.e.EventLog)}
	for i := range v.e.EventLog {
		e := &v.e.EventLog[i]
		if e.IMR != 0 {
			continue
		}
		if e.Type == typeHandoff && len(e.Digest) == len(Measurement{}) {
			digest := osimage.Digest(e.Digest)
			m.Handoff = &digest
		}
		break // it is the first one of its register
	}
	return m
}

// imageMatch is the comparison of one image's registers with those of the quote.
type imageMatch struct {
	image *osimage.Image
	// differ are the registers that differ; open is true if RTMR0 could not be computed.
	differ []string
	open   bool
	other  string // the other image whose material the guest sent
	err    error  // the reason why they cannot be compared
}

// compareImage computes the registers of an image. An image of which the policy knows the hash alone is computed
// from the material that the guest sent, if that has this hash.
func (v *verifier) compareImage(image *osimage.Image, sent *osimage.Image, machine osimage.Machine) imageMatch {
	registers, err := image.Registers(machine)
	if errors.Is(err, osimage.ErrHashOnly) {
		switch {
		case sent == nil:
			err = errors.New("the evidence has no material of its image, which guests from dstack 0.6 on send in vm_config; the policy needs the image itself (osimage.Open)")
		case sent.Hash != image.Hash:
			return imageMatch{image: image, other: fmt.Sprintf("the guest sent the material of os image %s", sent.Hash)}
		default:
			registers, err = sent.Registers(machine)
			// Such a guest sends all inputs of RTMR0. If one is missing, somebody removed it.
			if err == nil && registers[0].AnyRTMR0 {
				err = errors.New("the evidence lacks the size of the memory, or the three ACPI digests of RTMR0, which guests from dstack 0.6 on send")
			}
		}
	}
	best := imageMatch{image: image, err: err}
	for i, r := range registers {
		m := imageMatch{image: image, err: err, open: r.AnyRTMR0}
		for n, pair := range [][2][48]byte{{r.MRTD, v.q.MRTD}, {r.RTMR0, v.q.RTMR[0]}, {r.RTMR1, v.q.RTMR[1]}, {r.RTMR2, v.q.RTMR[2]}} {
			if n == 1 && r.AnyRTMR0 || equal(pair[0][:], pair[1][:]) {
				continue
			}
			m.differ = append(m.differ, []string{"MRTD", "RTMR0", "RTMR1", "RTMR2"}[n])
		}
		if i == 0 || len(m.differ) < len(best.differ) {
			best = m
		}
	}
	return best
}

// checkMeasurements compares firmware, virtual hardware, kernel, command line and initial file system with those
// of the policy's images, and with its list of known registers.
func (v *verifier) checkMeasurements() Check {
	actual := fmt.Sprintf("MRTD %s, RTMR0 %s, RTMR1 %s, RTMR2 %s", v.q.MRTD, v.q.RTMR[0], v.q.RTMR[1], v.q.RTMR[2])
	config, err := osimage.ParseVMConfig(v.e.VMConfig)
	var sent *osimage.Image
	if err == nil && config.Material != nil {
		sent, err = osimage.FromMaterial(*config.Material)
	}
	machine := v.machine(config)
	var tried []imageMatch
	for _, image := range v.p.Images {
		m := v.compareImage(image, sent, machine)
		if m.fits() {
			v.image = image
			v.r.Attested.OSImage = &OSImage{Hash: image.Hash, Version: image.Version, Development: image.Development, Expected: true}
			return passed(actual, image.String()+": computed from the image"+m.note())
		}
		tried = append(tried, m)
	}
	for i := range v.p.Measurements {
		if m := &v.p.Measurements[i]; m.matches(v.q) {
			return passed(actual, m.Name)
		}
	}
	if len(v.p.Images)+len(v.p.Measurements) == 0 {
		return v.unaskedMeasurements(sent, machine, actual)
	}
	return v.unknownMeasurements(tried, err, actual)
}

// fits reports whether the image is the one that booted.
func (m imageMatch) fits() bool { return m.err == nil && m.other == "" && len(m.differ) == 0 }

// distance orders images by the number of differences.
func (m imageMatch) distance() int {
	if m.other != "" {
		return len(m.differ) + 5
	}
	return len(m.differ)
}

func (m imageMatch) note() string {
	if m.open {
		return "; RTMR0 is not compared, because the log lacks the ACPI digests, or the size of the memory is unknown"
	}
	return ""
}

// unknownMeasurements is the result if nothing in the policy matches. If the registers of an image could not be
// computed, the check was not possible.
func (v *verifier) unknownMeasurements(tried []imageMatch, config error, actual string) Check {
	var expected, reasons []string
	for _, m := range tried {
		expected = append(expected, m.image.String())
		if m.err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", m.image, m.err))
		}
	}
	if n := len(v.p.Measurements); n > 0 {
		expected = append(expected, fmt.Sprintf("one of %d known sets", n))
	}
	if len(reasons) > 0 {
		if config != nil {
			reasons = append(reasons, config.Error())
		}
		c := notPossible(ErrMeasurement, strings.Join(expected, " or "), strings.Join(reasons, "; "))
		c.Actual = actual
		return c
	}
	err := ErrMeasurement
	if len(tried) > 0 {
		closest := slices.MinFunc(tried, func(a, b imageMatch) int { return a.distance() - b.distance() })
		err = fmt.Errorf("%w; %s", ErrMeasurement, closest.other)
		if closest.other == "" {
			err = fmt.Errorf("%w; closest is %s, except %s", ErrMeasurement, closest.image, strings.Join(closest.differ, ", "))
		}
	}
	return failed(err, strings.Join(expected, " or "), actual)
}

// unaskedMeasurements returns the result that follows from the evidence alone.
func (v *verifier) unaskedMeasurements(sent *osimage.Image, machine osimage.Machine, actual string) Check {
	c := Check{Outcome: NotAsked, Detail: "it is " + actual}
	if sent == nil {
		return c
	}
	m := v.compareImage(sent, sent, machine)
	switch {
	case m.err != nil:
		c.Detail += fmt.Sprintf("; it was not compared with the os image %s whose material the guest sent: %v", sent.Hash, m.err)
	case len(m.differ) > 0:
		c.Detail += fmt.Sprintf("; it does not follow from the os image %s whose material the guest sent: %s differ", sent.Hash, strings.Join(m.differ, ", "))
	default:
		v.r.Attested.OSImage = &OSImage{Hash: sent.Hash}
		c.Detail = fmt.Sprintf("computed from the os image %s, which is not in the policy", sent.Hash)
		c.Pin = fmt.Sprintf("policy.Images, err = osimage.ByHash(%q)", sent.Hash)
	}
	return c
}

// imageName returns the stated name of the image. It is not signed.
func (e *Evidence) imageName() string {
	if e.OSImage != "" {
		return e.OSImage
	}
	config, err := osimage.ParseVMConfig(e.VMConfig)
	if err != nil {
		return ""
	}
	return config.Image
}

// checkProductionOS refuses a development image, whether the policy's image or the evidence states that it is one. It
// passes only for an image whose registers were computed.
func (v *verifier) checkProductionOS() Check {
	const production = "a production image"
	name := v.e.imageName()
	switch {
	case v.image != nil && v.image.Development:
		return failed(ErrDevelopmentOS, production, v.image.String())
	case slices.Contains(strings.Split(name, "-"), "dev"):
		return failed(fmt.Errorf("%w by the name that the host states", ErrDevelopmentOS), production, fmt.Sprintf("%.80q", name))
	case v.image != nil:
		return passed(v.image.String(), "")
	case len(v.p.Images) > 0 && v.r.Check(CheckMeasurements).Outcome != Passed:
		c := blocked(CheckProductionOS, CheckMeasurements, true)
		c.blocked = !v.r.Check(CheckMeasurements).Waived
		return c
	case name != "":
		return Check{Outcome: NotAsked, Detail: fmt.Sprintf("the host states the name %.80q; only an image in Policy.Images proves its kind", name)}
	}
	return Check{Outcome: NotAsked, Detail: "the evidence names no image; only one in Policy.Images proves its kind"}
}
