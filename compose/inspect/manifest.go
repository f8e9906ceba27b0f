package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Manifest inspects the manifest of an image, fetched by the caller: the bytes that a registry answers to
// /v2/NAME/manifests/DIGEST. It returns an error if their SHA-256 is not the digest of the image's name, such as
// nginx@sha256:…, and a warning if they are an index with attestations: such a digest changes with each build, even
// if the image does not, and cannot be reproduced; the digest of the platform's own manifest can.
func Manifest(image string, manifest []byte) ([]Finding, error) {
	_, digest, named := strings.Cut(image, "@sha256:")
	if !named {
		return nil, fmt.Errorf("image %.200q: it has no digest", image)
	}
	sum := sha256.Sum256(manifest)
	if got := hex.EncodeToString(sum[:]); got != digest {
		return nil, fmt.Errorf("image %.200q: the manifest has the SHA-256 %s", image, got)
	}
	var index struct {
		Manifests []struct {
			Digest      string            `json:"digest"`
			Annotations map[string]string `json:"annotations"`
			Platform    struct {
				Architecture string `json:"architecture"`
				OS           string `json:"os"`
			} `json:"platform"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &index); err != nil {
		return nil, fmt.Errorf("image %.200q: its manifest: %w", image, err)
	}
	attested, own := false, ""
	for _, m := range index.Manifests {
		attested = attested || m.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
		if m.Platform.OS == "linux" && m.Platform.Architecture == "amd64" {
			own = m.Digest
		}
	}
	if !attested {
		return nil, nil
	}
	detail := "the digest is of an index with attestations of its build, so that no other build has it"
	if own != "" {
		detail += fmt.Sprintf("; the image for linux/amd64 is %.80s", own)
	}
	return []Finding{{Severity: Warning, Rule: IndexDigest, Subject: "image " + image, Detail: detail}}, nil
}
