package phalatest

import (
	"errors"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// officialScript is what the cloud adds if an app has no pre-launch script. It is not the platform's, whose text is
// not free to copy.
const officialScript = "#!/bin/bash\n# phalatest pre-launch script v2\necho \"----------------------------------------------\"\n"

// olderScript was the official one once.
const olderScript = "#!/bin/bash\n# phalatest pre-launch script v1\n"

// WithPreLaunchScript sets the script that the cloud inserts into a document without one.
func WithPreLaunchScript(text string) Option {
	return func(s *Server) error {
		if text == "" {
			return errors.New("pre-launch script: empty")
		}
		s.script = text
		return nil
	}
}

// PreLaunchScript returns the script that the cloud inserts into a document without one, and its SHA-256. It is none
// of the platform's published scripts, so package compose does not know it.
func (s *Server) PreLaunchScript() (text string, sum compose.Hash) {
	return s.script, compose.Sum([]byte(s.script))
}

// upgradeStatus compares a CVM's pre-launch script with the official ones.
func upgradeStatus(s *Server, _ *call, vm *cvm) answer {
	script := vm.doc.script()
	latest, older := script == s.script, script == olderScript
	return ok(openapi.PreLaunchUpgrade{
		CurrentHash: hashOf(vm.doc.app.PreLaunchScript), LatestOfficialHash: hashHex([]byte(s.script)), IsOfficial: latest || older,
		IsLatest: latest, CanUpgrade: older,
	})
}

func upgradePreLaunch(s *Server, c *call, vm *cvm) answer {
	doc, err := vm.doc.with(map[string]any{"pre_launch_script": s.script})
	if err != nil {
		return invalidCompose(err)
	}
	return s.change(vm, change{kind: "compose_update", doc: doc}, approvalOf(c))
}
