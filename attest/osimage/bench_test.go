package osimage

import "testing"

// The registers of an image that the guest sends: what a verification pays for an image by its hash.
func BenchmarkRegistersFromMaterial(b *testing.B) {
	encoded, err := example().Encode()
	if err != nil {
		b.Fatal(err)
	}
	material := Material{ChecksumFile: checksums(map[string][]byte{measurementFile: encoded}), Measurement: encoded}
	b.ReportAllocs()
	for b.Loop() {
		image, err := FromMaterial(material)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := image.Registers(Machine{Memory: 2 * gib, ACPI: make([]Digest, 3)}); err != nil {
			b.Fatal(err)
		}
	}
}
