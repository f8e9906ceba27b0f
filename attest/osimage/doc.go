// Package osimage computes the measurements of a confidential VM that boots a given image of the dstack operating
// system: MRTD (the firmware), RTMR0 (the virtual hardware), RTMR1 (the kernel) and RTMR2 (the command line and
// the initial file system). If the registers of a quote are equal to the computed ones, the guest booted this image.
//
// The hash of an image is the SHA-256 of its sha256sum.txt, which lists the hash of every file in it.
// There are two ways from a hash to the registers:
//
//   - [Open] reads the image itself, a directory or an archive, and works for every version of dstack.
//   - From dstack 0.6 on, the guest sends its [Material]: sha256sum.txt and a file of digests that is listed there.
//     Then the hash is enough ([ByHash]).
//
// The package uses no network. The inputs that the guest or the host states (the material, the size of the memory, the
// digests of the ACPI tables) are not trusted: with a false one, the computed registers differ from the signed ones.
package osimage
