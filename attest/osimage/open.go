package osimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Bounds of an image on disk, in bytes.
const (
	maxMetadata = 1 << 20
	maxInitrd   = 2 << 30
	maxEntries  = 1024
	// maxArchive bounds what an archive may unpack to; the root file system is most of it.
	maxArchive = 64 << 30
)

// metadata is the part of metadata.json that matters.
type metadata struct {
	BIOS        string `json:"bios"`
	Kernel      string `json:"kernel"`
	Initrd      string `json:"initrd"`
	CommandLine string `json:"cmdline"`
	Version     string `json:"version"`
	Development bool   `json:"is_dev"`
	Layout      string `json:"ovmf_variant"`
}

// Open reads an image: a directory, or an archive (.tar, .tar.gz, .tgz) such as the mr_<hash>.tar.gz that dstack
// publishes. It computes the hash, checks each file that it uses against sha256sum.txt, and computes the digests
// from which the registers follow. If the image comes with a measurement.tdx.cbor (dstack 0.6 and later), the two
// must agree; a directory with no more than that file, metadata.json and sha256sum.txt is enough then.
//
// Open the image once and keep it: the kernel stays in memory, and what is computed from it is kept with it.
// Compare Hash with the one that you expect, or let the policy do so.
func Open(name string) (*Image, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("os image: %w", err)
	}
	var files *fileSet
	if info.IsDir() {
		files, err = readDirectory(name)
	} else {
		files, err = readArchive(name)
	}
	if err != nil {
		return nil, fmt.Errorf("os image %s: %w", name, err)
	}
	image, err := files.image()
	if err != nil {
		return nil, fmt.Errorf("os image %s: %w", name, err)
	}
	return image, nil
}

// file is a file of an image. The largest ones are hashed as they pass by and not kept.
type file struct {
	data   []byte // nil if it is larger than keepLimit
	size   uint64
	sha256 [sha256.Size]byte
	sha384 Digest
}

// keepLimit is the size up to which a file is kept in memory.
const keepLimit = max(maxKernel, maxFirmware)

type fileSet struct{ files map[string]file }

// read hashes a file and keeps it if keep is true.
func (s *fileSet) read(name string, r io.Reader, keep bool) error {
	short, long := sha256.New(), sha512.New384()
	into := []io.Writer{short, long}
	var kept bytes.Buffer
	if keep {
		into = append(into, &limited{&kept, keepLimit})
	}
	n, err := io.Copy(io.MultiWriter(into...), io.LimitReader(r, maxInitrd+1))
	if err == nil && n > maxInitrd {
		err = fmt.Errorf("more than %d bytes", int64(maxInitrd))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f := file{size: uint64(n), sha256: [sha256.Size]byte(short.Sum(nil)), sha384: Digest(long.Sum(nil))}
	if keep && n <= keepLimit {
		f.data = kept.Bytes()
	}
	if _, ok := s.files[name]; ok {
		return fmt.Errorf("%s appears twice", name)
	}
	s.files[name] = f
	return nil
}

// limited keeps the first bytes that are written to it.
type limited struct {
	into *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.into.Write(p[:n])
	return len(p), nil
}

// readDirectory reads the files that metadata.json names.
func readDirectory(name string) (*fileSet, error) {
	s := &fileSet{files: map[string]file{}}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	read := func(name string) error {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("%s: not a file", name))
		}
		return s.read(name, f, true)
	}
	for _, name := range []string{checksumFile, metadataFile} {
		if err := read(name); err != nil {
			return nil, err
		}
	}
	m, err := s.metadata()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{measurementFile, m.BIOS, m.Kernel, m.Initrd} {
		if err := read(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return s, nil
}

// readArchive reads all files of an archive: metadata.json may come last. A folder around them is left out.
func readArchive(name string) (*fileSet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".tgz") {
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		defer unpacked.Close()
		r = unpacked
	}
	s := &fileSet{files: map[string]file{}}
	archive := tar.NewReader(io.LimitReader(r, maxArchive))
	for range maxEntries {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		base := path.Base(header.Name)
		if strings.HasPrefix(base, "rootfs") || header.Size > maxInitrd {
			continue // the root file system is measured by the command line, which names its hash
		}
		// A file too large to be a kernel or firmware can only be the initial file system, whose hash is enough.
		if err := s.read(base, archive, header.Size <= keepLimit); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d entries", maxEntries)
}

func (s *fileSet) metadata() (metadata, error) {
	var m metadata
	f, ok := s.files[metadataFile]
	if !ok || len(f.data) > maxMetadata {
		return m, fmt.Errorf("%s is missing, or larger than %d bytes", metadataFile, maxMetadata)
	}
	if err := json.Unmarshal(f.data, &m); err != nil {
		return m, fmt.Errorf("%s: %w", metadataFile, err)
	}
	m.Version = strings.TrimPrefix(m.Version, "dstack-")
	for _, name := range []string{m.BIOS, m.Kernel, m.Initrd} {
		if name == "" || path.Base(name) != name || name == ".." || name == "." {
			return m, fmt.Errorf("%s: file name %.80q, want a plain name for bios, kernel and initrd", metadataFile, name)
		}
	}
	if m.Layout != "" && m.Layout != layout {
		return m, fmt.Errorf("%s: firmware layout %.40q, want %q", metadataFile, m.Layout, layout)
	}
	return m, nil
}

// listed returns a file after a check of its hash; ok is false if it is not there.
func (s *fileSet) listed(name string) (f file, ok bool, err error) {
	if f, ok = s.files[name]; !ok {
		return f, false, nil
	}
	want, err := listed(s.files[checksumFile].data, name)
	if err != nil {
		return f, true, err
	}
	if f.sha256 != want {
		return f, true, fmt.Errorf("%s: SHA-256 %x, want %x as listed in %s", name, f.sha256, want, checksumFile)
	}
	return f, true, nil
}

func (s *fileSet) image() (*Image, error) {
	checksums, ok := s.files[checksumFile]
	if !ok || len(checksums.data) > maxChecksums {
		return nil, fmt.Errorf("%s is missing, or larger than %d bytes", checksumFile, maxChecksums)
	}
	m, err := s.metadata()
	if err != nil {
		return nil, err
	}
	// Version and kind are worth something only if the hash covers them.
	if _, _, err := s.listed(metadataFile); err != nil {
		return nil, err
	}
	image := &Image{Hash: ImageHash(checksums.sha256), Version: m.Version, Development: m.Development}
	bios, hasBIOS, err := s.listed(m.BIOS)
	if err != nil {
		return nil, err
	}
	linux, hasKernel, err := s.listed(m.Kernel)
	if err != nil {
		return nil, err
	}
	initrd, hasInitrd, err := s.listed(m.Initrd)
	if err != nil {
		return nil, err
	}
	if hasBIOS && hasKernel && hasInitrd {
		if err := image.compute(m, bios, linux, initrd); err != nil {
			return nil, err
		}
	}
	stated, hasStated, err := s.listed(measurementFile)
	switch {
	case hasStated && errors.Is(err, errNotListed):
		// Made after the image: its hash does not cover it.
	case err != nil:
		return nil, err
	case hasStated:
		if err := image.state(stated.data); err != nil {
			return nil, err
		}
	}
	if image.digests == nil {
		return nil, fmt.Errorf("firmware %s, kernel %s or initial file system %s is missing, and there is no %s instead", m.BIOS, m.Kernel, m.Initrd, measurementFile)
	}
	return image, nil
}

// compute derives the digests from the files.
func (i *Image) compute(m metadata, bios, linux, initrd file) error {
	firmware, err := parseFirmware(bios.data)
	if err != nil {
		return err
	}
	hob, err := firmware.hob()
	if err != nil {
		return err
	}
	if strings.TrimSpace(m.CommandLine) == "" {
		return fmt.Errorf("%s: no command line", metadataFile)
	}
	if i.kernel, err = newKernel(linux.data, initrd.size); err != nil {
		return err
	}
	i.digests = &Digests{
		MRTDSinglePass: firmware.mrtd(false), MRTDTwoPass: firmware.mrtd(true),
		CommandLine: commandLine(m.CommandLine), Initrd: initrd.sha384, TDHOB: hob.encode(),
	}
	i.digests.Kernel, err = i.kernel.digest(highMemory)
	return err
}

// commandLine returns the digest of a command line as the firmware measures it: in UTF-16 with a final zero, after
// QEMU's firmware appended the name under which the kernel finds the initial file system.
func commandLine(text string) Digest {
	b := appendUTF16(nil, text+" initrd=initrd")
	return sha512.Sum384(append(b, 0, 0))
}

// state takes the digests that the image itself states, and compares them with the computed ones.
func (i *Image) state(data []byte) error {
	stated, err := ParseDigests(data)
	if err != nil {
		return err
	}
	if i.digests == nil {
		i.digests = stated
		return nil
	}
	a, err := i.digests.Encode()
	if err != nil {
		return err
	}
	if !bytes.Equal(a, data) {
		return fmt.Errorf("%s states other digests than its files have", measurementFile)
	}
	return nil
}
