// Command inspect prints what a docker-compose file asks for, and what of it cannot work in a confidential VM or
// weakens it, before anything is deployed. It sends nothing.
//
//	go run ./examples/inspect                                   a file that is part of the program
//	go run ./examples/inspect docker-compose.yml                a file of yours
//	go run ./examples/inspect -env .env docker-compose.yml      and whether the variables that it needs are there
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
)

//go:embed docker-compose.yml
var sample string

const usage = `inspect reports what of a docker-compose file cannot work in a confidential VM, or weakens it.

usage:
  inspect                     a file that is part of the program
  inspect [flags] FILE        a docker-compose file, "-" for the standard input

It ends with 0 if the file can work as it is, with 1 if there is an error in the report, and with 2 if the file
could not be read.

`

// errFound is returned if the report has an error.
var errFound = errors.New("the file cannot work as it is")

func main() {
	switch err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errFound):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "inspect:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out, problems io.Writer) error {
	flags := flag.NewFlagSet("inspect", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	envFile := flags.String("env", "", "compare with the variables of this env `file`")
	script := flags.String("script", "", "the pre-launch script in this `file`")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := readText(flags.Args(), in)
	if err != nil {
		return err
	}
	var env []compose.EnvVar
	if *envFile != "" {
		if env, err = compose.ReadEnvFile(*envFile); err != nil {
			return err
		}
	}
	opts := []compose.Option{compose.WithEnv(env)}
	if *script != "" {
		text, err := os.ReadFile(*script)
		if err != nil {
			return err
		}
		opts = append(opts, compose.WithPreLaunchScript(string(text)))
	}
	app, err := compose.New(text, opts...)
	if err != nil {
		return err
	}
	report, err := inspect.App(ctx, app)
	if err != nil {
		return err
	}
	problem := report.Err() != nil
	lines := out
	if *asJSON {
		lines = problems
	}
	if *envFile != "" && printEnv(lines, report.Env, env) {
		problem = true
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		err = printReport(out, app, report)
	}
	if err == nil && problem {
		return errFound
	}
	return err
}

func readText(args []string, in io.Reader) (string, error) {
	switch {
	case len(args) == 0:
		return sample, nil
	case len(args) > 1:
		return "", fmt.Errorf("%d files, want one", len(args))
	case args[0] == "-":
		text, err := io.ReadAll(io.LimitReader(in, 1<<20))
		return string(text), err
	}
	text, err := os.ReadFile(args[0])
	return string(text), err
}

func printReport(out io.Writer, app *compose.App, report *inspect.Report) error {
	for _, s := range report.Services {
		fmt.Fprintf(out, "service %s: image %s", s.Name, s.Image)
		if len(s.Ports) > 0 {
			fmt.Fprintf(out, ", ports %s", strings.Join(s.Ports, " "))
		}
		if len(s.Volumes) > 0 {
			fmt.Fprintf(out, ", volumes %s", strings.Join(s.Volumes, " "))
		}
		fmt.Fprintln(out)
	}
	for _, use := range report.Env {
		fmt.Fprintf(out, "variable %s: %s\n", use.Name, need(use))
	}
	if app.Predictable() {
		hash, err := app.Hash()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "compose hash %s\n", hash)
	} else {
		fmt.Fprintln(out, "compose hash: not predictable, because the platform adds its own pre-launch script")
	}
	for _, f := range report.Findings {
		fmt.Fprintln(out, f)
	}
	return nil
}

func need(use compose.EnvUse) string {
	switch {
	case use.Refused:
		return "required, the app does not start without"
	case use.Required && use.PassedThrough:
		return "required, passed through"
	case use.Required:
		return "required"
	case use.HasDefault:
		return "has a default"
	}
	return "optional"
}

// printEnv prints how the variables of an env file fit, never their values, and reports whether one is missing or
// cannot be carried.
func printEnv(out io.Writer, uses []compose.EnvUse, env []compose.EnvVar) bool {
	given, used, problem := map[string]bool{}, map[string]bool{}, false
	for _, v := range env {
		given[v.Key] = true
		if err := compose.CheckGuestValue(v); err != nil {
			fmt.Fprintln(out, "error:", err)
			problem = true
		}
	}
	for _, use := range uses {
		used[use.Name] = true
		if use.Required && !given[use.Name] {
			fmt.Fprintf(out, "error: line %d: variable %s: required, and not in the env file\n", use.Line, use.Name)
			problem = true
		}
	}
	for _, v := range env {
		if !used[v.Key] {
			fmt.Fprintf(out, "warning: variable %s: the file does not use it\n", v.Key)
		}
	}
	return problem
}
