package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Completion contains the platform's additions to a document.
type Completion struct {
	// PreLaunch is the platform's script that was added, nil if none was.
	PreLaunch *PreLaunchScript
	// Added are the names of the members that were added, sorted.
	Added []string
}

// CompletionError is returned if a document that ran does not follow from the one that was sent.
type CompletionError struct {
	// Path leads to the first member that differs, such as $.public_logs.
	Path string
	// Sent and Ran are the JSON values, "" if absent: at most 160 bytes around the first difference.
	// Those within docker_config are redacted.
	Sent, Ran string
	// ScriptSHA256 is the hash of an added pre-launch script that is not known, "" otherwise.
	ScriptSHA256 string
	// Reason is the rule that was broken.
	Reason string
}

func (e *CompletionError) Error() string {
	return fmt.Sprintf("app-compose that ran: %s: %s (sent %s, ran %s)", e.Path, e.Reason, orAbsent(e.Sent), orAbsent(e.Ran))
}

func orAbsent(value string) string {
	if value == "" {
		return "nothing"
	}
	return strconv.Quote(value)
}

// CompareCompleted compares the document that ran, such as the attested one, with the one that was sent. It
// returns what was added if each of these is true, and a [*CompletionError] otherwise:
//
//   - every member that was sent, at any depth, is in the document that ran with an equal value; a member of the
//     document that was sent as null counts as absent, as it does on the platform;
//   - every member that was added is a documented default of the platform with its default value, those of
//     [New], or one of bash_script, default_gateway_domain, init_script, and salt that is null;
//   - an added gateway_enabled or tproxy_enabled, which are two names of one thing, equals the one that was sent, and
//     added features do not switch a gateway on that was sent as off;
//   - an added pre_launch_script is one of [PreLaunchScripts].
//
// Both texts must have a canonical form; see [Canonicalize].
func CompareCompleted(sent, ran []byte) (Completion, error) {
	want, err := members(sent)
	if err != nil {
		return Completion{}, fmt.Errorf("document that was sent: %w", err)
	}
	got, err := members(ran)
	if err != nil {
		return Completion{}, fmt.Errorf("document that ran: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if isNull(want[name]) {
			continue
		}
		if _, ok := got[name]; !ok {
			return Completion{}, difference(name, want[name], nil, "the member is missing")
		}
		if !bytes.Equal(want[name], got[name]) {
			return Completion{}, difference(name, want[name], got[name], "the value differs")
		}
	}
	var c Completion
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if raw, ok := want[name]; ok && (!isNull(raw) || isNull(got[name])) {
			continue
		}
		if name == "pre_launch_script" {
			if c.PreLaunch, err = addedScript(got[name]); err != nil {
				return Completion{}, err
			}
		} else if err := checkAdded(name, want, got[name]); err != nil {
			return Completion{}, err
		}
		c.Added = append(c.Added, name)
	}
	return c, nil
}

// members returns the members of a document, with values in canonical form.
func members(doc []byte) (map[string]json.RawMessage, error) {
	clean, err := Canonicalize(doc)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(clean, &all); err != nil {
		return nil, fmt.Errorf("app-compose: %w", err)
	}
	return all, nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// platformDefault returns the value that the platform fills in for a member, "" if none is documented.
func platformDefault(name string) string {
	switch name {
	case "bash_script", "default_gateway_domain", "init_script", "salt":
		return "null"
	}
	defaults, err := platformDefaults().Canonical()
	if err != nil {
		return ""
	}
	all, err := members(defaults)
	if err != nil {
		return ""
	}
	return string(all[name])
}

func checkAdded(name string, sent map[string]json.RawMessage, value json.RawMessage) error {
	fallback := platformDefault(name)
	twin := map[string]string{"gateway_enabled": "tproxy_enabled", "tproxy_enabled": "gateway_enabled"}[name]
	if demand, ok := sent[twin]; ok && twin != "" && !isNull(demand) {
		fallback = string(demand)
	}
	switch {
	case name == "features" && gatewayOff(sent) && bytes.Contains(value, []byte(`"`+gatewayFeature+`"`)):
		return difference(name, nil, value, "the member was added, and switches the gateway on, which was sent as off")
	case fallback == "":
		return difference(name, nil, value, "the member was added, and is no default of the platform")
	case fallback != string(value):
		return difference(name, nil, value, "the member was added, with another value than "+fallback)
	}
	return nil
}

// gatewayOff reports whether a document that was sent switches the gateway off.
func gatewayOff(sent map[string]json.RawMessage) bool {
	return string(sent["gateway_enabled"]) == "false" || string(sent["tproxy_enabled"]) == "false"
}

func addedScript(raw json.RawMessage) (*PreLaunchScript, error) {
	var text string
	if json.Unmarshal(raw, &text) != nil || isNull(raw) {
		return nil, difference("pre_launch_script", nil, raw, "the added script is no text")
	}
	script, known := LookupPreLaunch(text)
	if !known {
		sum := sha256.Sum256([]byte(text))
		e := difference("pre_launch_script", nil, raw, "the added script is no known one of the platform; its SHA-256 is "+hex.EncodeToString(sum[:]))
		e.ScriptSHA256 = hex.EncodeToString(sum[:])
		return nil, e
	}
	return &script, nil
}

// difference returns the error of a member, at the innermost value that differs.
func difference(name string, sent, ran json.RawMessage, reason string) *CompletionError {
	e := &CompletionError{Path: "$", Reason: reason}
	e.Path += (&SyntaxError{}).within(name).Path
	for sent != nil && ran != nil {
		step, s, r := deeper(sent, ran)
		if step == "" {
			break
		}
		e.Path, sent, ran = e.Path+step, s, r
	}
	if name == "docker_config" {
		e.Sent, e.Ran = redactedValue(sent), redactedValue(ran)
		return e
	}
	e.Sent, e.Ran = excerpts(string(sent), string(ran))
	return e
}

func redactedValue(raw json.RawMessage) string {
	if raw == nil {
		return ""
	}
	return "[redacted]"
}

// deeper returns the first member or item in which two values differ, and its values; "" if there is none.
func deeper(sent, ran json.RawMessage) (step string, s, r json.RawMessage) {
	switch {
	case sent[0] == '{' && ran[0] == '{':
		var a, b map[string]json.RawMessage
		if json.Unmarshal(sent, &a) != nil || json.Unmarshal(ran, &b) != nil {
			return "", nil, nil
		}
		names := slices.Collect(maps.Keys(a))
		for name := range b {
			if _, ok := a[name]; !ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if !bytes.Equal(a[name], b[name]) {
				return (&SyntaxError{}).within(name).Path, a[name], b[name]
			}
		}
	case sent[0] == '[' && ran[0] == '[':
		var a, b []json.RawMessage
		if json.Unmarshal(sent, &a) != nil || json.Unmarshal(ran, &b) != nil {
			return "", nil, nil
		}
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || !bytes.Equal(a[i], b[i]) {
				return "[" + strconv.Itoa(i) + "]", at(a, i), at(b, i)
			}
		}
	}
	return "", nil, nil
}

func at(list []json.RawMessage, i int) json.RawMessage {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// excerptSize is the maximum size of a value in an error, in bytes.
const excerptSize = 160

// excerpts returns two texts for an error: the whole texts, or the parts around the first difference.
func excerpts(a, b string) (string, string) {
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	from = max(0, from-excerptSize/4)
	return excerpt(a, from), excerpt(b, from)
}

func excerpt(text string, from int) string {
	if len(text) <= excerptSize {
		return text
	}
	from = min(from, len(text))
	part := strings.ToValidUTF8(text[from:min(from+excerptSize, len(text))], "")
	if from > 0 {
		part = "…" + part
	}
	if from+excerptSize < len(text) {
		part += "…"
	}
	return part
}
