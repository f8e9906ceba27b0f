package openapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestID_AcceptsStringsNumbersAndNull(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]openapi.ID{
		`"cvm_Ab12"`: "cvm_Ab12", `42`: "42", `9007199254740993`: "9007199254740993", `-1`: "-1", `null`: "", `""`: "",
	} {
		var got openapi.ID
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		assert.Equal(t, want, got, in)
	}
	for _, in := range []string{`true`, `{}`, `["a"]`} {
		var got openapi.ID
		require.ErrorContains(t, json.Unmarshal([]byte(in), &got), "id: want a string or a number", in)
	}
}

func TestID_NullReplacesNothingElse(t *testing.T) {
	t.Parallel()
	var vm struct {
		ID   openapi.ID `json:"id"`
		Name string     `json:"name"`
	}
	require.NoError(t, json.Unmarshal([]byte(`{"id":null,"name":"web"}`), &vm))
	assert.Equal(t, "web", vm.Name)
	assert.Empty(t, vm.ID)
}

func TestDecimal_KeepsEveryDigit(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]openapi.Decimal{
		`"0.058000000000000000001"`: "0.058000000000000000001", `0.1`: "0.1", `12`: "12", `1e-7`: "1e-7", `null`: "", `""`: "",
		`"0.058"`: "0.058", `"-0.5"`: "-0.5", `"007.50"`: "007.50", `"1."`: "1.", `".5"`: ".5",
	} {
		var got openapi.Decimal
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		assert.Equal(t, want, got, in)
	}
	rat, ok := openapi.Decimal("0.1").Rat()
	require.True(t, ok)
	assert.Zero(t, rat.Cmp(big.NewRat(1, 10)))
}

func TestDecimal_RefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`"free"`, `"1/3"`, `"0x10"`, `"1e999999999"`, `"1_000"`, `"Inf"`, `true`, `"."`, `"1.2.3"`, `"1 "`, `"٣"`, `"` + strings.Repeat("9", 100) + `"`} {
		var got openapi.Decimal
		require.ErrorContains(t, json.Unmarshal([]byte(in), &got), "decimal: ", in)
	}
}

func TestTime_ReadsEveryFormOfTheAPI(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 21, 8, 30, 5, 0, time.UTC)
	for _, in := range []string{
		`"2026-01-21T08:30:05Z"`, `"2026-01-21T09:30:05+01:00"`, `"2026-01-21T08:30:05"`, `"2026-01-21 08:30:05"`, `1768984205`,
		`"2026-01-21T08:30:05+0000"`, `"2026-01-21 09:30:05+0100"`, `"2026-01-21 08:30:05 +0000"`, `"2026-01-21 08:30:05+00:00"`,
		`"2026-01-21t08:30:05z"`, `"2026-01-21 08:30:05Z"`, `"2026-01-21T08:30:05.000+0000"`, `"2026-01-21 08:30:05 UTC"`,
		`"2026-01-21T08:30:05+00"`, `"1768984205"`, `1768984205.0`, `" 2026-01-21T08:30:05Z "`,
	} {
		var got openapi.Time
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		assert.True(t, want.Equal(got.Time), "%s gave %s", in, got)
	}
	var micro openapi.Time
	require.NoError(t, json.Unmarshal([]byte(`"2026-01-21T08:30:05.123456"`), &micro))
	assert.Equal(t, 123456000, micro.Nanosecond())
	for _, in := range []string{`null`, `""`} {
		got := openapi.Time{Time: want}
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		assert.True(t, got.IsZero(), in)
	}
	for _, in := range []string{`"yesterday"`, `1.5`, `true`} {
		var got openapi.Time
		require.ErrorContains(t, json.Unmarshal([]byte(in), &got), "time: ", in)
	}
}

func TestTimeRoundTrips(t *testing.T) {
	t.Parallel()
	in := openapi.Time{Time: time.Date(2026, 1, 21, 8, 30, 5, 7000, time.FixedZone("", 3600))}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	var out openapi.Time
	require.NoError(t, json.Unmarshal(data, &out))
	assert.True(t, in.Equal(out.Time))
	data, err = json.Marshal(openapi.Time{})
	require.NoError(t, err)
	assert.Equal(t, "null", string(data))
}

func TestSecret_IsNeverFormatted(t *testing.T) {
	t.Parallel()
	const text = "whsec_very-secret"
	holder := struct {
		Name   string
		Secret openapi.Secret
		Inner  openapi.CreateWebhookRequest
	}{"web", text, openapi.CreateWebhookRequest{Secret: openapi.Ptr(openapi.Secret(text))}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.NotContains(t, fmt.Sprintf(verb, holder), text, verb)
		assert.NotContains(t, fmt.Sprintf(verb, holder.Secret), text, verb)
		assert.NotContains(t, fmt.Sprintf(verb, &holder.Secret), text, verb)
		assert.NotContains(t, fmt.Sprintf(verb, fmt.Errorf("no %v", holder.Secret)), text, verb)
	}
	assert.NotContains(t, fmt.Sprintf("%x", holder), "77687365635f")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", holder.Secret)
	assert.NotContains(t, log.String(), text)
	assert.Contains(t, log.String(), "[redacted]")

	data, err := openapi.Marshal(holder.Secret)
	require.NoError(t, err)
	assert.Equal(t, `"`+text+`"`, string(data), "the wire needs the text")
	assert.Empty(t, fmt.Sprint(openapi.Secret("")))
}

func TestFlag(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]openapi.Flag{`true`: true, `1`: true, `false`: false, `0`: false, `null`: false} {
		got := !want
		require.NoError(t, json.Unmarshal([]byte(in), &got), in)
		if in != "null" {
			assert.Equal(t, want, got, in)
		}
	}
	var got openapi.Flag
	require.Error(t, json.Unmarshal([]byte(`2`), &got))
}

func TestPathParam_RefusesWhatChangesTheRoute(t *testing.T) {
	t.Parallel()
	for _, bad := range []openapi.PathParam{"", ".", "..", "a/b", `a\b`, "a%2Fb", "a?b", "a#b", "a;b", "a b", "a\nb", "\x00", "\x7f", "\xff", openapi.PathParam(strings.Repeat("a", 257))} {
		_, err := bad.MarshalText()
		assert.ErrorIs(t, err, openapi.ErrPathParam, "%q", string(bad))
		_, err = openapi.NewCVMsGetRequest("https://cloud-api.phala.com", bad)
		assert.ErrorIs(t, err, openapi.ErrPathParam, "%q", string(bad))
	}
	for _, good := range []openapi.PathParam{"cvm_Ab12", "my-app", "app_" + openapi.PathParam(strings.Repeat("a", 40)), "...", "7", "é"} {
		assert.NoError(t, good.Check(), "%q", string(good))
	}
}

func FuzzPathParam(f *testing.F) {
	for _, s := range []string{"..", "a/b", "%2e%2e", "cvm_1", "a;b", "\u2028", "..;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		req, err := openapi.NewCVMsGetStatsRequest("https://cloud-api.phala.com", openapi.PathParam(s))
		if err != nil {
			if !errors.Is(err, openapi.ErrPathParam) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if got, want := req.URL.Path, "/api/v1/cvms/"+s+"/stats"; got != want {
			t.Fatalf("%q became the path %q", s, got)
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{`"2026-01-21T08:30:05Z"`, `"2026-01-21"`, `0`, `null`, `"2026-01-21T08:30:05.5"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var first, second openapi.Time
		if json.Unmarshal([]byte(s), &first) != nil {
			return
		}
		data, err := json.Marshal(first)
		if err != nil {
			return // a year that RFC 3339 cannot write
		}
		if err := json.Unmarshal(data, &second); err != nil || !first.Equal(second.Time) {
			t.Fatalf("%s became %s became %s (%v)", s, data, second, err)
		}
	})
}
