package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// measurement is what was measured, for the table and the plots.
type measurement struct {
	Machine string `json:"machine"`
	// Values are the medians of all runs, of times the best.
	Values map[string]float64 `json:"values"`
}

func measure(root string, count int) (*measurement, error) {
	r, done, err := newRunner(root)
	if err != nil {
		return nil, err
	}
	defer done()
	found := results{}
	if err := r.sizes(found); err != nil {
		return nil, err
	}
	for range count {
		for _, s := range slices.Concat(repeated, variants) {
			if err := r.run(s, found); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range once {
		if err := r.run(s, found); err != nil {
			return nil, err
		}
	}
	m := &measurement{Machine: machine(), Values: map[string]float64{}}
	for name, all := range found {
		m.Values[name] = found.median(name)
		if strings.HasSuffix(name, "-ns") {
			m.Values[name] = slices.Min(all)
		}
	}
	return m, nil
}

// machine returns when and where it was measured.
func machine() string {
	version, _ := exec.Command("go", "env", "GOVERSION").Output()
	cpu := "an unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name\t: "); ok {
			cpu, _, _ = strings.Cut(rest, "\n")
		}
	}
	load := ""
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		fields := strings.Fields(string(text))
		load = fmt.Sprintf(", load average %s and %s of it at the end", fields[1], fields[0])
	}
	return fmt.Sprintf("Measured on %s with %s, %s/%s, %d cores of %s%s.", time.Now().UTC().Format(time.DateOnly),
		bytes.TrimSpace(version), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.TrimSpace(cpu), load)
}

// row is a line of the first table: a benchmark against one of its baselines.
type row struct {
	what      string
	benchmark string
	against   string // the baseline's name in the metrics
	baseline  string // in words
	aim       float64
}

var rows = []row{
	{"one call (`CVMs.Get`) over an in-memory transport", "Call", "nethttp", "net/http and `json.Unmarshal` into the same type", 1.25},
	{"", "Call", "plain", "net/http and `json.Unmarshal` into plain structs", 1.25},
	{"a page of 100 CVMs", "Page", "nethttp", "the same into the same type", 1.05},
	{"", "Page", "plain", "the same into plain structs", 1.05},
	{"canonicalise and hash a text of 200 KB", "Hash", "map", "decode to a map, encode, hash", 0.25},
	{"", "Hash", "sha256", "SHA-256 of the same bytes", 2.5},
	{"`App.Hash` of 200 KB", "AppHash", "map", "encode a struct, decode to a map, encode, hash", 0.4},
	{"", "AppHash", "official", "the official Go SDK's way, which escapes `<`, `>` and `&` and so has another hash", 0.4},
	{"", "AppHash", "sha256", "SHA-256 of bytes that are canonical already", 0},
	{"`App.Hash` of 2 KB", "AppHashSmall", "map", "as above", 0.4},
	{"", "AppHashSmall", "official", "as above", 0.4},
	{"", "AppHashSmall", "sha256", "as above", 0},
	{"`App.Hash` of 200 KB without SHA instructions", "nosha AppHash", "map", "as above, also without", 0.4},
	{"", "nosha AppHash", "official", "as above, also without", 0.4},
	{"find the variables of a docker-compose file of 200 KB", "EnvUses", "yaml", "the same parser decodes it", 1.5},
	{"encrypt 50 variables", "EncryptEnv", "primitives", "X25519, AES-GCM and hex over a plaintext that is ready", 1.1},
	{"read 1,000 server-sent events", "Reader", "lines", "find the line ends", 0},
	{"verify a quote, all checks, of a platform met before", "Verify", "tdxguest", "go-tdx-guest alone, with collateral and revocation", 1.15},
	{"the same for a platform's first quote", "VerifyFirst", "tdxguest", "the same", 1.15},
	{"replay 1,000 events", "Replay", "sha384", "the same extensions without computing the digests", 3},
	{"`deploy.Provision` of 200 KB, inspection and checks included", "Provision", "marshal", "canonical bytes, hash, `json.Marshal`, net/http", 1.3},
	{"", "Provision", "concat", "the same with the request put together by hand, so that no JSON is read", 0},
}

// value is a line of the second table: a number with a bound.
type value struct {
	what  string
	get   func(measurement) float64
	shown func(float64) string
	aim   float64
	least bool // the aim is a lower bound
}

func (m measurement) quotient(over, under string) float64 { return m.Values[over] / m.Values[under] }

// grown are the requests to the fake cloud that look at all of it.
var grown = []string{"AppsByStatus"}

// flat returns the requests to the fake cloud that are to cost the same whatever its size.
func (m measurement) flat() (names []string) {
	for name := range maps.Keys(m.Values) {
		if op, ok := strings.CutPrefix(name, "Scale/"); ok {
			if op, ok := strings.CutSuffix(op, " 100-ratio"); ok && !slices.Contains(grown, op) {
				names = append(names, op)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (m measurement) steepest() float64 {
	most := 0.0
	for _, op := range m.flat() {
		most = max(most, m.Values["Scale/"+op+" 100-ratio"])
	}
	return most
}

var values = []value{
	{"server-sent events read in a second", func(m measurement) float64 {
		return m.quotient("Reader stream-bytes", "Reader phala-ns") * 1000
	}, unit("MB", 0), 250, true},
	{"a watch that waits: what it has allocated", func(m measurement) float64 { return m.Values["WatchMemory heap-bytes"] / 1000 }, unit("KB", 1), 8, false},
	{"the same with the stack of its goroutine", func(m measurement) float64 {
		return (m.Values["WatchMemory heap-bytes"] + m.Values["WatchMemory stack-bytes"]) / 1000
	}, unit("KB", 1), 8, false},
	{"500 verified deployments at once: the 99th percentile over the serial time × 500 / cores", func(m measurement) float64 {
		return m.Values["ManyDeploys/500 p99-ratio"]
	}, unit("", 2), 3, false},
	{"`WaitAll` of 100,000 CVMs: the time for each over that of 1,000", func(m measurement) float64 {
		return m.Values["WaitAll 1000-ratio"] / 100
	}, unit("", 2), 1.25, false},
	{"requests to a fake cloud of 20,000 CVMs over one of 100: the one that grows most of 13, a filtered list of apps apart", measurement.steepest, unit("", 2), 1.25, false},
	{"a call with `GOEXPERIMENT=jsonv2` over the same without", func(m measurement) float64 {
		return m.quotient("jsonv2 Call phala-ns", "Call phala-ns")
	}, unit("", 2), 0, false},
	{"a page of 100 CVMs with `GOEXPERIMENT=jsonv2` over the same without", func(m measurement) float64 {
		return m.quotient("jsonv2 Page phala-ns", "Page phala-ns")
	}, unit("", 2), 0, false},
	{"`App.Hash` of 200 KB without SHA instructions over the same with them", func(m measurement) float64 {
		return m.quotient("nosha AppHash phala-ns", "AppHash phala-ns")
	}, unit("", 2), 0, false},
	{"a stripped program that lists CVMs", func(m measurement) float64 { return m.Values["size sdk"] / 1e6 }, unit("MB", 2), 0, false},
	{"the same over one on net/http", func(m measurement) float64 { return m.quotient("size sdk", "size plain") }, unit("", 2), 1.15, false},
	{"a stripped program that deploys and verifies an app", func(m measurement) float64 { return m.Values["size deploy"] / 1e6 }, unit("MB", 2), 0, false},
	{"the same over the one that lists CVMs", func(m measurement) float64 { return m.quotient("size deploy", "size sdk") }, unit("", 2), 0, false},
}

func unit(name string, digits int) func(float64) string {
	return func(x float64) string { return strings.TrimSpace(strconv.FormatFloat(x, 'f', digits, 64) + " " + name) }
}

// section is where the tables stand.
var section = regexp.MustCompile(`(?s)(<!-- tables: written by make bench -->\n).*?(<!-- end -->)`)

func (m measurement) writeTable(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !section.Match(text) {
		return fmt.Errorf("%s: no place for the tables", path)
	}
	tables, err := m.tables()
	if err != nil {
		return err
	}
	return os.WriteFile(path, section.ReplaceAll(text, []byte("${1}"+tables+"${2}")), 0o644)
}

func (m measurement) tables() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| what | this SDK | baseline | ratio | aim | reached |\n| --- | --- | --- | --- | --- | --- |\n", m.Machine)
	for _, r := range rows {
		ratio := m.Values[r.benchmark+" "+r.against+"-ratio"]
		if ratio == 0 {
			return "", fmt.Errorf("%s against %s: not measured", r.benchmark, r.against)
		}
		ours := ""
		if r.what != "" {
			ours = m.cost(r.benchmark, "phala")
		}
		aim, reached := reached(ratio, r.aim, false, unit("", -1))
		fmt.Fprintf(&b, "| %s | %s | %s: %s | %.2f | %s | %s |\n", r.what, ours, r.baseline, m.cost(r.benchmark, r.against), ratio, aim, reached)
	}
	b.WriteString("\n| what | value | aim | reached |\n| --- | --- | --- | --- |\n")
	for _, v := range values {
		x := v.get(m)
		if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
			return "", fmt.Errorf("%s: not measured", v.what)
		}
		aim, reached := reached(x, v.aim, v.least, v.shown)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.what, v.shown(x), aim, reached)
	}
	return b.String(), nil
}

// cost is the time and the allocations of a benchmark's part.
func (m measurement) cost(benchmark, part string) string {
	ns := m.Values[benchmark+" "+part+"-ns"]
	text := fmt.Sprintf("%.1f µs", ns/1e3)
	if ns >= 1e6 {
		text = fmt.Sprintf("%.2f ms", ns/1e6)
	} else if ns >= 1e5 {
		text = fmt.Sprintf("%.0f µs", ns/1e3)
	}
	return fmt.Sprintf("%s, %.0f allocs", text, m.Values[benchmark+" "+part+"-allocs"])
}

// reached compares what is shown, two digits, with the aim.
func reached(x, aim float64, least bool, shown func(float64) string) (string, string) {
	x = math.Round(x*100) / 100
	sign := "≤ "
	if least {
		sign = "≥ "
	}
	switch {
	case aim == 0:
		return "", ""
	case (x <= aim) != least:
		return sign + shown(aim), "yes"
	}
	return sign + shown(aim), "**no**"
}
