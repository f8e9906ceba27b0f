// Package leaktest looks for a secret in everything that shows a value: fmt, log/slog, encoding/json and errors. Its own
// test formats every exported type of the module.
package leaktest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"}

// Forms returns the forms in which a secret may be found in a text.
func Forms(secret string) []string {
	raw := []byte(secret)
	quoted, _ := json.Marshal(secret) // a string
	forms := []string{
		secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), strings.Trim(fmt.Sprint(raw), "[]"),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}"),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, encoding.EncodeToString(raw))
	}
	return forms
}

// Shown returns what the ways of showing a value write, by the name of the way: the value alone and as a field, an
// item and the value of a map.
func Shown(value any) map[string]string {
	shown := map[string]string{}
	field := struct{ V any }{value}
	for place, v := range map[string]any{"": value, " in a struct": field, " behind a pointer": &field, " in a list": []any{value}, " in a map": map[string]any{"k": value}} {
		for _, verb := range verbs {
			shown[verb+place] = fmt.Sprintf(verb, v)
		}
		if data, err := json.Marshal(v); err == nil {
			shown["json"+place] = string(data)
		} else {
			shown["the error of json"+place] = err.Error()
		}
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "value", v)
		shown["slog text"+place], shown["slog json"+place] = text.String(), lines.String()
	}
	if err, ok := value.(error); ok {
		shown["Error"] = err.Error()
		shown["wrapped"] = fmt.Errorf("wrapped: %w", err).Error()
	}
	return shown
}

// RequireHidden fails if a value shows a secret in any way.
func RequireHidden(t *testing.T, name string, value any, secrets ...string) {
	t.Helper()
	RequireHiddenBut(t, name, value, nil, secrets...)
}

// RequireHiddenBut is RequireHidden without the ways for which shows reports that they show the secret on purpose.
func RequireHiddenBut(t *testing.T, name string, value any, shows func(way string) bool, secrets ...string) {
	t.Helper()
	for way, text := range Shown(value) {
		if shows != nil && shows(way) {
			continue
		}
		for _, secret := range secrets {
			for _, form := range Forms(secret) {
				if i := strings.Index(text, form); i >= 0 {
					require.Fail(t, "a secret is shown", "%s with %s: … %s", name, way, text[max(0, i-200):min(len(text), i+200)])
				}
			}
		}
	}
}
