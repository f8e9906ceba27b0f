package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suite is benchmarks of one package, and how they run.
type suite struct {
	pkg, pattern string
	variant      string   // put before the names of the results
	build, env   []string // of the environment
	benchtime    string
}

// The suites that are run again and again, one after the other, so that a slow minute of the machine meets all.
var repeated = []suite{
	{pkg: "client", pattern: "^Benchmark(Call|Page)$"},
	{pkg: "compose", pattern: "^Benchmark(Hash|AppHash|AppHashSmall|EnvUses)$"},
	{pkg: "kms", pattern: "^BenchmarkEncryptEnv$"},
	{pkg: "internal/sse", pattern: "^BenchmarkReader$"},
	{pkg: "attest", pattern: "^Benchmark(Verify|VerifyFirst|Replay)$"},
	{pkg: "deploy", pattern: "^BenchmarkProvision$"},
}

// The same code without the SHA instructions of the processor, and with the next encoding/json.
var variants = []suite{
	{pkg: "client", pattern: "^Benchmark(Call|Page)$", variant: "jsonv2 ", build: []string{"GOEXPERIMENT=jsonv2"}},
	{pkg: "compose", pattern: "^Benchmark(AppHash|AppHashSmall)$", variant: "nosha ", env: []string{"GODEBUG=cpu.sha=off"}},
}

// What takes long, or is a count and no time, is measured once.
var once = []suite{
	{pkg: "client", pattern: "^BenchmarkWaitAll$", benchtime: "3x"},
	{pkg: "client", pattern: "^BenchmarkWatchMemory$", benchtime: "3x"},
	{pkg: "phalatest", pattern: "^BenchmarkManyDeploys$", benchtime: "1x"},
	{pkg: "phalatest", pattern: "^BenchmarkScale$", benchtime: "400ms"},
}

// results has each value of each metric, by "Benchmark metric".
type results map[string][]float64

// median returns the middle one of the values, 0 if there is none.
func (r results) median(key string) float64 {
	values := slices.Sorted(slices.Values(r[key]))
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

// runner keeps the test binaries.
type runner struct{ root, dir string }

func newRunner(root string) (*runner, func(), error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	return &runner{root, dir}, func() { _ = os.RemoveAll(dir) }, nil
}

// binary builds the tests of a suite's package, once.
func (r *runner) binary(s suite) (string, error) {
	path := filepath.Join(r.dir, strings.ReplaceAll(s.pkg+strings.Join(s.build, ""), "/", "-"))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "test", "-c", "-o", path, "./"+s.pkg)
	build.Dir, build.Env = r.root, append(os.Environ(), s.build...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the tests of %s: %w\n%s", s.pkg, err, out)
	}
	return path, nil
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)

// run runs a suite and adds what it measured.
func (r *runner) run(s suite, into results) error {
	binary, err := r.binary(s)
	if err != nil {
		return err
	}
	benchtime := s.benchtime
	if benchtime == "" {
		benchtime = "1s"
	}
	fmt.Fprintf(os.Stderr, "%s %s%s %s\n", time.Now().Format(time.TimeOnly), s.variant, s.pkg, s.pattern)
	test := exec.Command(binary, "-test.run=^$", "-test.bench="+s.pattern, "-test.benchtime="+benchtime)
	var failure bytes.Buffer
	test.Dir, test.Env, test.Stderr = filepath.Join(r.root, s.pkg), append(os.Environ(), s.env...), &failure
	out, err := test.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s%s", s.pkg, err, out, failure.Bytes())
	}
	lines := benchmarkLine.FindAllSubmatch(out, -1)
	if len(lines) == 0 {
		return fmt.Errorf("%s: no benchmark fits %s", s.pkg, s.pattern)
	}
	for _, line := range lines {
		fields := strings.Fields(string(line[2]))
		for i := 0; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("%s: %q: %w", s.pkg, line[0], err)
			}
			key := s.variant + string(line[1]) + " " + fields[i+1]
			into[key] = append(into[key], value)
		}
	}
	return nil
}

// sizes builds the programs of .ci/size and adds their sizes.
func (r *runner) sizes(into results) error {
	for _, program := range []string{"plain", "sdk", "deploy"} {
		path := filepath.Join(r.dir, "size-"+program)
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./.ci/size/"+program)
		build.Dir, build.Env = r.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", program, err, out)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		into["size "+program] = []float64{float64(info.Size())}
	}
	return nil
}
