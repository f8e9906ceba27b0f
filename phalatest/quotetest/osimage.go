package quotetest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
)

// eventACPI is the type of the firmware's events of ACPI data.
const eventACPI = 10

// OSImage is an image of the dstack operating system for [Spec].
type OSImage struct {
	// Digests are those of the image; [NewOSImage] fills in plausible ones.
	Digests osimage.Digests
	// Version and Development are part of the image's metadata.json.
	Version     string
	Development bool
	// Memory is the size of the guest's memory in bytes, 2 GiB by default.
	Memory uint64
	// HashOnly leaves the material out of the vm_config, as guests up to dstack 0.5 do.
	HashOnly bool
}

// NewOSImage returns an image of dstack 0.6.0 with random-looking digests, which follow from the name.
func NewOSImage(name string) *OSImage {
	digest := func(what string) osimage.Digest { return osimage.Digest(named(what + " of " + name)) }
	return &OSImage{
		Version: "0.6.0", Memory: 2 << 30,
		Digests: osimage.Digests{
			MRTDSinglePass: digest("firmware"), MRTDTwoPass: digest("firmware in two passes"), Kernel: digest("kernel"),
			CommandLine: digest("command line"), Initrd: digest("initial file system"),
			// The ranges of dstack's firmware.
			TDHOB: []byte{0x80, 0x10, 9, 4, 0, 6, 9, 2, 0x0b, 2, 0x10, 0x10},
		},
	}
}

// files returns the small files of the image, from which its registers follow.
func (i *OSImage) files() (map[string][]byte, error) {
	measurement, err := i.Digests.Encode()
	if err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(map[string]any{
		"bios": "ovmf.fd", "kernel": "bzImage", "initrd": "initramfs.cpio.gz", "cmdline": "console=hvc0",
		"version": i.Version, "is_dev": i.Development,
	})
	if err != nil {
		return nil, err
	}
	checksums := fmt.Sprintf("%x  metadata.json\n%x  measurement.tdx.cbor\n", sha256.Sum256(metadata), sha256.Sum256(measurement))
	return map[string][]byte{"metadata.json": metadata, "measurement.tdx.cbor": measurement, "sha256sum.txt": []byte(checksums)}, nil
}

// Hash returns the hash of the image.
func (i *OSImage) Hash() (osimage.ImageHash, error) {
	files, err := i.files()
	return sha256.Sum256(files["sha256sum.txt"]), err
}

// Known returns the image with its digests, version and kind, for [attest.Policy.Images].
func (i *OSImage) Known() (*osimage.Image, error) {
	files, err := i.files()
	if err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	image, err := osimage.FromMaterial(osimage.Material{ChecksumFile: files["sha256sum.txt"], Measurement: files["measurement.tdx.cbor"]})
	if err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	image.Version, image.Development = i.Version, i.Development
	return image, nil
}

// Write writes the image into a directory that [osimage.Open] reads.
func (i *OSImage) Write(directory string) error {
	files, err := i.files()
	for name, data := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(directory, name), data, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("quotetest: %w", err)
	}
	return nil
}

// boot returns the events of the firmware, the MRTD, and the vm_config.
func (i *OSImage) boot() (log []attest.Event, mrtd attest.Measurement, config string, err error) {
	files, err := i.files()
	if err != nil {
		return nil, mrtd, "", err
	}
	material := osimage.Material{ChecksumFile: files["sha256sum.txt"], Measurement: files["measurement.tdx.cbor"]}
	image, err := osimage.FromMaterial(material)
	if err != nil {
		return nil, mrtd, "", err
	}
	machine := osimage.Machine{Memory: i.Memory, ACPI: []osimage.Digest{
		osimage.Digest(named("ACPI loader")), osimage.Digest(named("ACPI RSDP")), osimage.Digest(named("ACPI tables")),
	}}
	events, err := image.Events(machine)
	if err != nil {
		return nil, mrtd, "", err
	}
	config, err = i.vmConfig(image.Hash, material)
	return i.log(events), attest.Measurement(i.Digests.MRTDSinglePass), config, err
}

// log returns the events in the order of real guests.
func (i *OSImage) log(events osimage.Events) []attest.Event {
	var log []attest.Event
	var next [3]int
	for _, e := range []struct {
		imr   int
		types []uint32
	}{
		{0, []uint32{0x8000000b, 0x8000000a, 0x80000001, 0x80000001, 0x80000001, 0x80000001, 0x80000001, 4, eventACPI, eventACPI, eventACPI}},
		{1, []uint32{0x80000003}},
		{0, []uint32{0x80000002, 0x80000002}},
		{1, []uint32{0x80000007, 4}},
		{2, []uint32{6, 6}},
		{1, []uint32{0x80000007, 0x80000007}},
	} {
		for n, kind := range e.types {
			digest := events[e.imr][next[e.imr]]
			next[e.imr]++
			event := attest.Event{IMR: e.imr, Type: kind, Digest: digest[:]}
			if kind == eventACPI {
				event.Payload = []byte("ACPI DATA")
				if !i.HashOnly { // dstack 0.6
					event.Name = []string{"acpi-loader", "acpi-rsdp", "acpi-tables"}[n-8]
				}
			}
			log = append(log, event)
		}
	}
	return log
}

func (i *OSImage) vmConfig(hash osimage.ImageHash, material osimage.Material) (string, error) {
	name := "dstack-" + i.Version
	if i.Development {
		name = "dstack-dev-" + i.Version
	}
	members := map[string]any{
		"os_image_hash": hash, "memory_size": i.Memory, "image": name, "cpu_count": 2, "spec_version": 1,
	}
	if !i.HashOnly {
		members["tdx_measurement"], members["tdx_attestation_variant"] = material, "lite"
	}
	text, err := json.Marshal(members)
	return string(text), err
}
