package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// PreLaunchForm is the source of a known text of a platform's script.
type PreLaunchForm string

const (
	// PreLaunchPublished is the text as published in Dstack-TEE/dstack-examples, phala-cloud-prelaunch-script.
	PreLaunchPublished PreLaunchForm = "published"
	// PreLaunchAttested is the text as it was in documents that hardware attested. Up to 0.0.14 the platform
	// changed line ends and escapes on the way.
	PreLaunchAttested PreLaunchForm = "attested"
)

// PreLaunchScript is a pre-launch script of the platform. Only its hash is known here, not the text.
type PreLaunchScript struct {
	// Version that the script prints, such as "0.0.19".
	Version string
	// SHA256 of the text: 64 lower-case hex digits.
	SHA256 string
	Form   PreLaunchForm
	// Date of publication, or of the first document seen: YYYY-MM-DD.
	Date string
}

// LookupPreLaunch returns the platform's script with exactly the given text, and reports whether there is one.
func LookupPreLaunch(text string) (PreLaunchScript, bool) {
	sum := sha256.Sum256([]byte(text))
	return LookupPreLaunchHash(hex.EncodeToString(sum[:]))
}

// LookupPreLaunchHash returns the platform's script with a SHA-256: 64 hex digits of either case, with or
// without "0x", as in latest_official_hash of the API.
func LookupPreLaunchHash(hash string) (PreLaunchScript, bool) {
	hash = strings.ToLower(strings.TrimPrefix(hash, "0x"))
	for _, script := range PreLaunchScripts() {
		if script.SHA256 == hash {
			return script, true
		}
	}
	return PreLaunchScript{}, false
}

// PreLaunchScripts returns the scripts of the platform that are known here, oldest version first. Source: the
// history of Dstack-TEE/dstack-examples up to 2026-08-14 and attested documents of 2025 and 2026.
func PreLaunchScripts() []PreLaunchScript {
	return []PreLaunchScript{
		{"0.0.2", "169dfc447a9a99013988677fbd4b7f339163e4424bfab84c9dcf19ce295bc2cd", PreLaunchAttested, "2025-06-16"},
		{"0.0.4", "6a68965b4966eeb08043afdac0cef7f0115e3d27f73fe0c028f81664ed05e04e", PreLaunchPublished, "2025-06-18"},
		{"0.0.5", "3787d7beaf274f103b61b5e0220b113bffe7bd0dfb38545796eb7cfb46c3e3ba", PreLaunchPublished, "2025-06-18"},
		{"0.0.6", "7127d8fd1dd3f27bab2c0b4f04f402b59239ae6884c174186b6e7cc6dc4df898", PreLaunchPublished, "2025-07-15"},
		{"0.0.7", "7ea66e7cbf824b4d48e08fa1fe348ce9dddd4b5aa3f5624a5860913904ac8a1e", PreLaunchPublished, "2025-08-07"},
		{"0.0.7", "a521f725e63916bdb6b266535ea4ab25877033ee36c395e52503da322da07313", PreLaunchPublished, "2025-07-24"},
		{"0.0.7", "1189e1d212cd248a306da5d4fae367a3d942f2ac2659dd2c4ff4eaad13922c44", PreLaunchAttested, "2025-09-01"},
		{"0.0.8", "9c5470c546ed4d6e6351844121c92c18e477464f910df89a783aa26ffac4a410", PreLaunchPublished, "2025-10-01"},
		{"0.0.8", "ff8a8a7c013fe5bc7a027ec371a5d9dc3ce172e9e71aca5012730246eba3bb99", PreLaunchPublished, "2025-09-29"},
		{"0.0.8", "613886ad2e986e2a3303aa350c158a2d2f451a2570a23b01f7931348c56aec5b", PreLaunchAttested, "2025-10-01"},
		{"0.0.10", "33778715b33573186ae1a32bbbd6e2a12047aaa1eecdeee7180216c2b1e0a24a", PreLaunchPublished, "2025-11-18"},
		{"0.0.11", "d31c9df2af520aa5e23b99b428eba6854c84294b6f582dd46b150d624b0d4cbe", PreLaunchPublished, "2025-11-28"},
		{"0.0.12", "7d3a3737bf3a59d6511cadb7b1867d21bae6d796136326c4be503323a5ad3741", PreLaunchPublished, "2025-12-22"},
		{"0.0.12", "ff3496dd73cd9bf4efd4228a52c43466501fc5f94dde378800f147cd58798d6f", PreLaunchAttested, "2026-03-25"},
		{"0.0.13", "c608c19a6756b532f9995ffafab1ae569d50acff5283162e9787ee85f642641a", PreLaunchPublished, "2026-02-16"},
		{"0.0.14", "22ee7123712744ae1814257bfd0a396d0a3c990c5e240c4e93253bdb5b649765", PreLaunchPublished, "2026-02-25"},
		{"0.0.14", "0e289ab44fa756e02a3e850d60c22ab1cbf90cade311f98f555fad74a1c40d0a", PreLaunchAttested, "2026-03-25"},
		{"0.0.15", "bf12939bc82c9bdd103b6b1226913e6da58ed7cfcfc7c7ae808ac0813715b9a8", PreLaunchPublished, "2026-06-02"},
		{"0.0.16", "803d861b57b1c61244f3e6e48bc11a15f8d7e421d6f052282d90e0289e85903d", PreLaunchPublished, "2026-08-04"},
		{"0.0.16", "037a558a532ded8b5de956adb2a77684393abfc5a876a07274cf64035910c337", PreLaunchPublished, "2026-08-04"},
		{"0.0.16", "9843af25b7069841b22cee60ee8f225b3d52e893de71b208feae724a8f6787fa", PreLaunchPublished, "2026-08-04"},
		{"0.0.16", "4259eeddabdfcc73e657fef51d3511820f6899b1825db6a4ce0905c60f1f5869", PreLaunchPublished, "2026-08-04"},
		{"0.0.17", "93d29be852c0ccf92b275f824d71f1b589e906503c4d67332f36c633412fabe5", PreLaunchPublished, "2026-08-06"},
		{"0.0.18", "24d363e17b26dabdbf287588c1e1968fd7fdfef10954123b99ff6c6a837c5692", PreLaunchPublished, "2026-08-06"},
		{"0.0.19", "cec8f68ce6185b912023d886bba20cd06386dd9751af904e6107e758b9d68983", PreLaunchPublished, "2026-08-14"},
	}
}

// PlatformVariable returns the effect of a variable in the platform's pre-launch script, and reports whether there is
// one. An app with a script of its own does not have these effects. Source: the published scripts up to 0.0.19.
func PlatformVariable(name string) (effect string, ok bool) {
	switch name {
	case "DSTACK_APP_ID":
		return "sets it to the app id", true
	case "DSTACK_GATEWAY_DOMAIN":
		return "sets it to the domain of the gateway, unless it is set", true
	case "DSTACK_APP_DOMAIN":
		return "sets it to the domain of the app behind the gateway", true
	case "DSTACK_DOCKER_USERNAME", "DSTACK_DOCKER_PASSWORD", "DSTACK_DOCKER_REGISTRY":
		return "logs in to a Docker registry with it before images are pulled", true
	case "DSTACK_AWS_ACCESS_KEY_ID", "DSTACK_AWS_SECRET_ACCESS_KEY", "DSTACK_AWS_SESSION_TOKEN", "DSTACK_AWS_REGION", "DSTACK_AWS_ECR_REGISTRY":
		return "logs in to a registry of AWS ECR with it before images are pulled", true
	case "DSTACK_ROOT_PASSWORD":
		return "sets the root password of the guest to it", true
	case "DSTACK_ROOT_PUBLIC_KEY", "DSTACK_AUTHORIZED_KEYS":
		return "lets this SSH key log in to the guest", true
	}
	return "", false
}
