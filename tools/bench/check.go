package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// mainRatios are the ratios of the gate.
var mainRatios = []string{
	"Call nethttp-ratio", "Call plain-ratio", "Page nethttp-ratio", "AppHash map-ratio", "AppHashSmall map-ratio",
	"EncryptEnv primitives-ratio", "Reader lines-ratio", "Verify tdxguest-ratio", "VerifyFirst tdxguest-ratio",
	"Replay sha384-ratio", "Provision marshal-ratio",
}

// bands are the accepted ratios by name. They are no times, so they hold on other machines, too.
type bands map[string]band

type band struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// The band around what was recorded. Ratios of runs in turns differ by less than a tenth on a busy machine.
const (
	lowPart  = 0.75
	highPart = 1.2
)

const attempts = 3

// record returns the bands around what was measured.
func (m measurement) record() (bands, error) {
	b := bands{}
	for _, name := range mainRatios {
		ratio := m.Values[name]
		if ratio == 0 {
			return nil, fmt.Errorf("%s: not measured", name)
		}
		b[name] = band{Low: round(ratio * lowPart), High: round(ratio * highPart)}
	}
	return b, nil
}

func round(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }

// check measures until each ratio has once been within its band, at most a few times. Below the band is no failure.
func (b bands) check(root string) error {
	r, done, err := newRunner(root)
	if err != nil {
		return err
	}
	defer done()
	open := maps.Clone(b)
	var failures []error
	for attempt := 1; attempt <= attempts && len(open) > 0; attempt++ {
		found := results{}
		failures = nil
		for range 3 {
			for _, s := range repeated {
				s.benchtime = "300ms"
				if err := r.run(s, found); err != nil {
					return err
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(open)) {
			ratio, want := found.median(name), open[name]
			switch {
			case ratio == 0:
				return fmt.Errorf("%s: no value", name)
			case ratio > want.High:
				failures = append(failures, fmt.Errorf("%s: %.3f, want at most %.3f", name, ratio, want.High))
				continue
			case ratio < want.Low:
				fmt.Printf("%s: %.3f is better than the band from %.3f; record it anew\n", name, ratio, want.Low)
			default:
				fmt.Printf("%s: %.3f, at most %.3f\n", name, ratio, want.High)
			}
			delete(open, name)
		}
		if len(failures) > 0 {
			fmt.Printf("attempt %d of %d:\n%v\n", attempt, attempts, errors.Join(failures...))
		}
	}
	return errors.Join(failures...)
}
