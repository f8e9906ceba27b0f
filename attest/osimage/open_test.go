package osimage

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// imageFiles are the files of a small image, without its checksums.
func imageFiles() map[string][]byte {
	return map[string][]byte{
		"ovmf.fd":             makeFirmware(dstackSections()),
		"bzImage":             makeKernel(0),
		"initramfs.cpio.gz":   []byte("an initial file system"),
		"metadata.json":       []byte(`{"bios":"ovmf.fd","kernel":"bzImage","initrd":"initramfs.cpio.gz","cmdline":"console=hvc0 dstack.rootfs_hash=00","rootfs":"rootfs.img.parted.verity","version":"0.5.4","is_dev":false}`),
		"rootfs.img.verity":   []byte("too large to look at"),
		"something-else.json": []byte("{}"),
	}
}

func checksums(files map[string][]byte) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name != checksumFile && !strings.HasPrefix(name, "rootfs") {
			fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[name]), name)
		}
	}
	return []byte(b.String())
}

func writeDirectory(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

func writeArchive(t testing.TB, name, folder string, files map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	packed := gzip.NewWriter(f)
	w := tar.NewWriter(packed)
	for name, data := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: folder + name, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg}))
		_, err := w.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, packed.Close())
	return path
}

// edit returns the files of a small image after a change, with checksums that fit.
func edit(change func(files map[string][]byte)) map[string][]byte {
	files := imageFiles()
	change(files)
	files[checksumFile] = checksums(files)
	return files
}

func setMetadata(t testing.TB, name string, value any) func(map[string][]byte) {
	return func(files map[string][]byte) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(files[metadataFile], &m))
		m[name] = value
		data, err := json.Marshal(m)
		require.NoError(t, err)
		files[metadataFile] = data
	}
}

func TestOpen_DirectoryAndArchiveAgree(t *testing.T) {
	t.Parallel()
	files := edit(func(map[string][]byte) {})
	image, err := Open(writeDirectory(t, files))
	require.NoError(t, err)
	assert.Equal(t, ImageHash(sha256.Sum256(files[checksumFile])), image.Hash)
	assert.Equal(t, "0.5.4", image.Version)
	assert.False(t, image.Development)

	firmware, err := parseFirmware(files["ovmf.fd"])
	require.NoError(t, err)
	registers, err := image.Registers(Machine{Memory: 4 << 30, ACPI: make([]Digest, 3)})
	require.NoError(t, err)
	require.Len(t, registers, 2)
	assert.Equal(t, firmware.mrtd(false), registers[0].MRTD)
	assert.Equal(t, firmware.mrtd(true), registers[1].MRTD)
	// The command line is measured in UTF-16 with a final zero, and with the name of the initial file system.
	var line []byte
	for _, c := range "console=hvc0 dstack.rootfs_hash=00 initrd=initrd\x00" {
		line = append(line, byte(c), 0)
	}
	assert.Equal(t, extend(sha512.Sum384(line), sha512.Sum384(files["initramfs.cpio.gz"])), registers[0].RTMR2)
	assert.False(t, registers[0].AnyRTMR0)

	small, err := image.Registers(Machine{Memory: 1 << 30})
	require.NoError(t, err, "the image itself covers every size of memory")
	assert.NotEqual(t, registers[0].RTMR1, small[0].RTMR1)

	for _, name := range []string{"image.tar.gz", "image.tgz"} {
		for _, folder := range []string{"", "./", "dstack-0.5.4/"} {
			again, err := Open(writeArchive(t, name, folder, files))
			require.NoError(t, err)
			same, err := again.Registers(Machine{Memory: 4 << 30, ACPI: make([]Digest, 3)})
			require.NoError(t, err)
			assert.Equal(t, registers, same)
			assert.Equal(t, image.Hash, again.Hash)
		}
	}
}

func TestOpen_DevelopmentImage(t *testing.T) {
	t.Parallel()
	image, err := Open(writeDirectory(t, edit(setMetadata(t, "is_dev", true))))
	require.NoError(t, err)
	assert.True(t, image.Development)
	image, err = Open(writeDirectory(t, edit(setMetadata(t, "version", "dstack-0.5.7"))))
	require.NoError(t, err)
	assert.Equal(t, "0.5.7", image.Version)
}

func TestOpen_WithMeasurementFile(t *testing.T) {
	t.Parallel()
	plain, err := Open(writeDirectory(t, edit(func(map[string][]byte) {})))
	require.NoError(t, err)
	stated, err := plain.digests.Encode()
	require.NoError(t, err)
	want, err := plain.Registers(Machine{})
	require.NoError(t, err)

	t.Run("that agrees", func(t *testing.T) {
		t.Parallel()
		image, err := Open(writeDirectory(t, edit(func(files map[string][]byte) { files[measurementFile] = stated })))
		require.NoError(t, err)
		have, err := image.Registers(Machine{})
		require.NoError(t, err)
		assert.Equal(t, want, have)
	})
	t.Run("that states other digests", func(t *testing.T) {
		t.Parallel()
		other := *plain.digests
		other.Initrd[0] ^= 1
		data, err := other.Encode()
		require.NoError(t, err)
		_, err = Open(writeDirectory(t, edit(func(files map[string][]byte) { files[measurementFile] = data })))
		assert.ErrorContains(t, err, "other digests")
	})
	t.Run("that is not listed", func(t *testing.T) {
		t.Parallel()
		files := edit(func(map[string][]byte) {})
		files[measurementFile] = []byte("anything")
		_, err := Open(writeDirectory(t, files))
		assert.NoError(t, err, "nothing vouches for it, so it is not read")
		delete(files, "ovmf.fd")
		_, err = Open(writeDirectory(t, files))
		assert.ErrorContains(t, err, "is missing")
	})
	t.Run("alone with the metadata", func(t *testing.T) {
		t.Parallel()
		files := edit(func(files map[string][]byte) { files[measurementFile] = stated })
		for _, name := range []string{"ovmf.fd", "bzImage", "initramfs.cpio.gz"} {
			delete(files, name)
		}
		image, err := Open(writeDirectory(t, files))
		require.NoError(t, err)
		have, err := image.Registers(Machine{})
		require.NoError(t, err)
		assert.Equal(t, want, have)
		_, err = image.Registers(Machine{Memory: 1 << 30})
		assert.ErrorIs(t, err, ErrMemory)
	})
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	without := func(name string) map[string][]byte {
		return edit(func(files map[string][]byte) { delete(files, name) })
	}
	swapped := func(name string, data []byte) map[string][]byte {
		files := edit(func(map[string][]byte) {})
		files[name] = data
		return files
	}
	for name, tt := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"no checksums":              {imageFiles(), "sha256sum.txt"},
		"no metadata":               {without("metadata.json"), "metadata.json"},
		"no firmware":               {without("ovmf.fd"), "is missing"},
		"no kernel":                 {without("bzImage"), "is missing"},
		"no initial file system":    {without("initramfs.cpio.gz"), "is missing"},
		"another firmware":          {swapped("ovmf.fd", makeFirmware(dstackSections()[1:])), "as listed in"},
		"another kernel":            {swapped("bzImage", makeKernel(64)), "as listed in"},
		"another initrd":            {swapped("initramfs.cpio.gz", []byte("x")), "as listed in"},
		"metadata changed":          {swapped("metadata.json", []byte(strings.Replace(string(imageFiles()["metadata.json"]), "false", "true", 1))), "as listed in"},
		"metadata that is no JSON":  {edit(func(files map[string][]byte) { files[metadataFile] = []byte("x") }), "invalid character"},
		"a file name with a folder": {edit(setMetadata(t, "kernel", "../bzImage")), "want a plain name"},
		"no file name":              {edit(setMetadata(t, "bios", "")), "want a plain name"},
		"a command line of nothing": {edit(setMetadata(t, "cmdline", " ")), "no command line"},
		"another firmware layout":   {edit(setMetadata(t, "ovmf_variant", "stable202505")), `layout "stable202505"`},
		"a kernel that is none":     {edit(func(files map[string][]byte) { files["bzImage"] = make([]byte, 8192) }), "not a Linux kernel"},
		"a firmware that is none":   {edit(func(files map[string][]byte) { files["ovmf.fd"] = make([]byte, 8192) }), "no table of GUIDs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(writeDirectory(t, tt.files))
			require.ErrorContains(t, err, tt.want)
			_, err = Open(writeArchive(t, "image.tar.gz", "", tt.files))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Open(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	text := filepath.Join(t.TempDir(), "image.tar.gz")
	require.NoError(t, os.WriteFile(text, []byte("not an archive"), 0o600))
	_, err = Open(text)
	require.Error(t, err)
}

// A link in a directory cannot lead out of it.
func TestOpen_LinkOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	files := edit(func(map[string][]byte) {})
	dir, outside := writeDirectory(t, files), writeDirectory(t, files)
	require.NoError(t, os.Remove(filepath.Join(dir, "bzImage")))
	if err := os.Symlink(filepath.Join(outside, "bzImage"), filepath.Join(dir, "bzImage")); err != nil {
		t.Skip("no symbolic links here")
	}
	_, err := Open(dir)
	assert.Error(t, err)
}
