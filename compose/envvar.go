package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
)

// EnvVar is a variable for an app: usually a secret. Formatting one shows its name only.
type EnvVar struct {
	Key   string
	Value string
}

// Format writes the name, and "[redacted]" for the value, whatever the verb.
func (v EnvVar) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(v.redacted())) }

// LogValue returns the text of Format, so that the value is never logged.
func (v EnvVar) LogValue() slog.Value { return slog.StringValue(v.redacted()) }

// redacted returns the name without what may be a value in it, such as of "KEY=value" given as a name.
func (v EnvVar) redacted() string { return v.Key[:nameEnd(v.Key, 0)] + "=" + redaction }

const redaction = "[redacted]"

// MarshalJSON returns {"key": …, "value": "[redacted]"}. JSON is no way to store a variable: [EnvVar.UnmarshalJSON]
// refuses it.
func (v EnvVar) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"key": v.Key[:nameEnd(v.Key, 0)], "value": redaction})
}

// UnmarshalJSON reads an object with key and value. A value that [EnvVar.MarshalJSON] redacted is an error, so
// that "[redacted]" never becomes a secret.
func (v *EnvVar) UnmarshalJSON(data []byte) error {
	var pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal(data, &pair); err != nil {
		return errors.New("variable: want an object with key and value")
	}
	if pair.Value == redaction {
		return fmt.Errorf("variable %.80q: its value was redacted when it was written", pair.Key)
	}
	v.Key, v.Value = pair.Key, pair.Value
	return nil
}

// EnvFromMap returns the variables of a map in the order of their names.
func EnvFromMap(values map[string]string) []EnvVar {
	env := make([]EnvVar, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, EnvVar{Key: name, Value: values[name]})
	}
	return env
}
