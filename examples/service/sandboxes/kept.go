package sandboxes

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/phala-go/phala/deploy"
)

// kept is what survives the process: for each sandbox the state of its deployment, its anchor once it runs, and why it
// failed if it did. A service with several processes keeps the same in a database.
type kept struct{ dir string }

const (
	stateFile   = ".state.json"
	anchorFile  = ".app.json"
	failureFile = ".failed.txt"
)

func open(dir string) (*kept, error) { return &kept{dir}, os.MkdirAll(dir, 0o700) }

// file is safe for names that [compose.ValidateName] accepts.
func (k *kept) file(name, kind string) string { return filepath.Join(k.dir, name+kind) }

func (k *kept) state(name string) (*deploy.State, error) {
	return load(k.file(name, stateFile), deploy.ParseState)
}

func (k *kept) saveState(name string, st *deploy.State) error {
	return deploy.SaveFile(k.file(name, stateFile), st)
}

func (k *kept) app(name string) (*deploy.App, error) {
	return load(k.file(name, anchorFile), deploy.ParseApp)
}

// saveApp keeps the anchor in place of the state.
func (k *kept) saveApp(name string, app *deploy.App) error {
	if err := deploy.SaveFile(k.file(name, anchorFile), app); err != nil {
		return err
	}
	return forget(k.file(name, stateFile))
}

// outcome keeps why a deployment failed; nil forgets an earlier failure.
func (k *kept) outcome(name string, failed error) error {
	if failed == nil {
		return forget(k.file(name, failureFile))
	}
	text, _ := explain(failed)
	return os.WriteFile(k.file(name, failureFile), []byte(text), 0o600)
}

// failure is why the deployment failed; empty if it did not.
func (k *kept) failure(name string) string {
	text, err := os.ReadFile(k.file(name, failureFile))
	if err != nil {
		return ""
	}
	return string(text)
}

// unfinished are the names of the deployments that have neither failed nor ended.
func (k *kept) unfinished() ([]string, error) {
	files, err := filepath.Glob(k.file("*", stateFile))
	var names []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), stateFile)
		if k.failure(name) == "" {
			names = append(names, name)
		}
	}
	return names, err
}

// cvms are the ids of the CVMs that may exist.
func (k *kept) cvms(name string) []string {
	var ids []string
	if st, err := k.state(name); err == nil && st != nil && st.CVM != "" {
		ids = append(ids, st.CVM)
	}
	if app, err := k.app(name); err == nil && app != nil {
		for _, cvm := range app.CVMs {
			ids = append(ids, cvm.ID)
		}
	}
	return ids
}

func (k *kept) remove(name string) error {
	return errors.Join(forget(k.file(name, stateFile)), forget(k.file(name, anchorFile)), forget(k.file(name, failureFile)))
}

func forget(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// load reads a file; nil if there is none.
func load[T any](file string, parse func([]byte) (*T, error)) (*T, error) {
	v, err := deploy.LoadFile(file, parse)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return v, err
}
