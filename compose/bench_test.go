package compose_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

// large is an app-compose of 200 KB as people write them: a docker-compose file with many lines.
func large(b *testing.B) []byte {
	b.Helper()
	line := "      - \"127.0.0.1:8080:80\" # a port & a <comment>\n      LABEL_NAME: some-value-that-is-rather-long\n"
	app, err := compose.New("services:\n"+strings.Repeat(line, 199<<10/len(line)), compose.WithPreLaunchScript("#!/bin/sh\necho\n"), compose.WithAllowedEnvs("A", "B"))
	require.NoError(b, err)
	doc, err := app.Canonical()
	require.NoError(b, err)
	return doc
}

// BenchmarkHash canonicalises and hashes 200 KB against its floors: the usual way, through a map, and
// hashing alone.
func BenchmarkHash(b *testing.B) {
	doc := large(b)
	b.Run("phala", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			c, err := compose.Canonicalize(doc)
			if err != nil {
				b.Fatal(err)
			}
			_ = compose.Sum(c)
		}
	})
	b.Run("map", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			d := json.NewDecoder(bytes.NewReader(doc))
			d.UseNumber()
			var v map[string]any
			if err := d.Decode(&v); err != nil {
				b.Fatal(err)
			}
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil { // encoding/json sorts the names of maps
				b.Fatal(err)
			}
			_ = sha256.Sum256(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
		}
	})
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			_ = sha256.Sum256(doc)
		}
	})
}
