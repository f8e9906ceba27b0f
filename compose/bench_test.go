package compose_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/interleave"
)

// large is the canonical text of an app-compose of 200 KB.
func large(b *testing.B) []byte {
	b.Helper()
	app := largeApp(b, 200<<10)
	doc, err := app.Canonical()
	require.NoError(b, err)
	return doc
}

// largeApp is an app-compose as people write them: a docker-compose file with many lines.
func largeApp(b *testing.B, size int) *compose.App {
	b.Helper()
	line := "      - \"127.0.0.1:8080:80\" # a port & a <comment>\n      - LABEL_NAME=some-value-that-is-rather-long\n"
	head := "services:\n  web:\n    labels:\n"
	app, err := compose.New(head+strings.Repeat(line, (size-len(head)-900)/len(line)), compose.WithPreLaunchScript("#!/bin/sh\necho\n"), compose.WithAllowedEnvs("A", "B"))
	require.NoError(b, err)
	return app
}

// membersOfApp is a document as other programs have it: a struct with tags for encoding/json.
type membersOfApp struct {
	ManifestVersion         int      `json:"manifest_version"`
	Name                    string   `json:"name"`
	Runner                  string   `json:"runner"`
	DockerComposeFile       string   `json:"docker_compose_file"`
	PreLaunchScript         string   `json:"pre_launch_script"`
	AllowedEnvs             []string `json:"allowed_envs"`
	Features                []string `json:"features"`
	KMSEnabled              bool     `json:"kms_enabled"`
	GatewayEnabled          bool     `json:"gateway_enabled"`
	TproxyEnabled           bool     `json:"tproxy_enabled"`
	LocalKeyProviderEnabled bool     `json:"local_key_provider_enabled"`
	NoInstanceID            bool     `json:"no_instance_id"`
	PublicLogs              bool     `json:"public_logs"`
	PublicSysInfo           bool     `json:"public_sysinfo"`
	PublicTCBInfo           bool     `json:"public_tcbinfo"`
	SecureTime              bool     `json:"secure_time"`
	StorageFS               string   `json:"storage_fs"`
}

// throughMap hashes a document the usual way: decoded into a map, whose names encoding/json sorts.
func throughMap(doc []byte) (compose.Hash, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return compose.Hash{}, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return compose.Hash{}, err
	}
	return sha256.Sum256(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

// official hashes a document as the official Go SDK is described to do: the struct is encoded with omitempty, decoded
// into a map for the order of its members, and encoded again. encoding/json escapes <, > and & in both, so that the hash
// differs from the server's wherever these occur.
func official(plain membersOfApp) (compose.Hash, error) {
	text, err := json.Marshal(plain)
	if err != nil {
		return compose.Hash{}, err
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return compose.Hash{}, err
	}
	if text, err = json.Marshal(members); err != nil {
		return compose.Hash{}, err
	}
	return sha256.Sum256(text), nil
}

// compareAppHash hashes an App, as the flows do, against the usual way, a struct that is encoded, decoded into a map and
// encoded again; against the official Go SDK's way; and against hashing alone.
func compareAppHash(b *testing.B, size int) {
	app := largeApp(b, size)
	doc, err := app.Canonical()
	require.NoError(b, err)
	var plain membersOfApp
	require.NoError(b, json.Unmarshal(doc, &plain))
	want := compose.Sum(doc)
	check := func(got compose.Hash, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("hash %s, want %s", got, want)
		}
		return err
	}
	interleave.Compare(b, func() error {
		return check(app.Hash())
	}, interleave.Baseline{Name: "map", Do: func() error {
		text, err := json.Marshal(plain)
		if err != nil {
			return err
		}
		return check(throughMap(text))
	}}, interleave.Baseline{Name: "official", Do: func() error {
		_, err := official(plain)
		return err
	}}, interleave.Baseline{Name: "sha256", Do: func() error { return check(compose.Sum(doc), nil) }})
}

// BenchmarkAppHash hashes an App of 200 KB.
func BenchmarkAppHash(b *testing.B) { compareAppHash(b, 199<<10) }

// BenchmarkAppHashSmall hashes an App of 2 KB.
func BenchmarkAppHashSmall(b *testing.B) { compareAppHash(b, 2<<10) }

// BenchmarkHash canonicalises and hashes a text of 200 KB against its baselines: the usual way, through a map, and
// hashing alone.
func BenchmarkHash(b *testing.B) {
	doc := large(b)
	interleave.Compare(b, func() error {
		c, err := compose.Canonicalize(doc)
		_ = compose.Sum(c)
		return err
	}, interleave.Baseline{Name: "map", Do: func() error {
		_, err := throughMap(doc)
		return err
	}}, interleave.Baseline{Name: "sha256", Do: func() error {
		_ = compose.Sum(doc)
		return nil
	}})
}

// BenchmarkEnvUses reads a docker-compose file of 200 KB against go-yaml, which reads it without looking for variables.
func BenchmarkEnvUses(b *testing.B) {
	app := largeApp(b, 199<<10)
	text := *app.DockerComposeFile
	interleave.Compare(b, func() error {
		_, err := compose.EnvUses(text)
		return err
	}, interleave.Baseline{Name: "yaml", Do: func() error {
		var tree any
		return yaml.Unmarshal([]byte(text), &tree)
	}})
}
