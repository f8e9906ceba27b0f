// Package osimage computes what a confidential VM measures when it boots a given image of the dstack operating
// system: MRTD (the firmware), RTMR0 (the virtual hardware), RTMR1 (the kernel) and RTMR2 (the command line and
// the initial file system). A quote whose registers equal the computed ones was made by a guest that booted
// exactly this image.
//
// An image is named by its hash: the SHA-256 of its sha256sum.txt, which lists the hash of every file in it.
// There are two ways from a hash to the registers:
//
//   - [Open] reads the image itself, a directory or an archive, and works for every version of dstack.
//   - From dstack 0.6 on, the guest sends its [Material] along: sha256sum.txt and a file of digests that is
//     listed there. Then the hash alone is enough.
//
// The package is pure: it fetches nothing. Each input that does not come from the caller (the
// material, the size of the memory, the digests of the ACPI tables) can only make the computed registers differ
// from the signed ones.
package osimage
