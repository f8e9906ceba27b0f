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

// Limits of an image on disk, in bytes.
const (
	maxMetadata = 1 << 20
	maxInitrd   = 2 << 30
	maxEntries  = 1024
	// maxArchive limits the unpacked size of an archive; most of it is the root file system.
	maxArchive = 64 << 30
)

// metadata is the used part of metadata.json.
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
// publishes. It computes the hash, compares each used file with sha256sum.txt, and computes the digests from which the
// registers follow. The measurement.tdx.cbor of an image (dstack 0.6 and later) must have the same digests; then
// metadata.json and sha256sum.txt are enough besides it.
//
// Open an image once and reuse it: it contains the kernel and caches what is computed from it. Compare Hash with the
// expected one, or use the image in a policy that does.
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

// file is a file of an image. The content of the largest ones is hashed and not kept.
type file struct {
	data   []byte // nil if it is larger than keepLimit
	size   uint64
	sha256 [sha256.Size]byte
	sha384 Digest
}

// keepLimit is the size up to which a file is kept in memory.
const keepLimit = max(maxKernel, maxFirmware)

type fileSet struct{ files map[string]file }

// read hashes a file, and keeps its content if it is not larger than keepLimit.
func (s *fileSet) read(name string, r io.Reader, size int64) error {
	short, long := sha256.New(), sha512.New384()
	into := []io.Writer{short, long}
	var kept bytes.Buffer
	if size <= keepLimit {
		into = append(into, &kept)
	}
	if size > maxInitrd {
		return fmt.Errorf("%s: %d bytes, want at most %d", name, size, int64(maxInitrd))
	}
	n, err := io.Copy(io.MultiWriter(into...), io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = errors.New("its size changed while it was read")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, ok := s.files[name]; ok {
		return fmt.Errorf("%s appears twice", name)
	}
	s.files[name] = file{data: kept.Bytes(), size: uint64(n), sha256: [sha256.Size]byte(short.Sum(nil)), sha384: Digest(long.Sum(nil))}
	return nil
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
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("%s: not a file", name))
		}
		return s.read(name, f, info.Size())
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

// readArchive reads all files of an archive: metadata.json may be the last one. Folders are ignored.
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
			continue // the command line contains the hash of the root file system
		}
		if err := s.read(base, archive, header.Size); err != nil {
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

// listed returns a file and checks its hash; ok is false if it is missing.
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
	// The hash must cover version and kind.
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
		// It was added later: the hash of the image does not cover it.
	case err != nil:
		return nil, err
	case hasStated:
		if err := image.compareDigests(stated.data); err != nil {
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

// compareDigests compares the digests of measurement.tdx.cbor with the computed ones, or uses them if there are none.
func (i *Image) compareDigests(data []byte) error {
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
