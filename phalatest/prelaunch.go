package phalatest

// upgradeStatus compares a CVM's pre-launch script with the official ones.
func upgradeStatus(_ *Server, _ *call, vm *cvm) answer {
	script := vm.doc.script()
	latest, older := script == officialScript, script == olderScript
	return ok(object{
		"current_hash": hashOf(vm.doc.app.PreLaunchScript), "latest_official_hash": hashHex([]byte(officialScript)),
		"is_official": latest || older, "is_latest": latest, "can_upgrade": older,
	})
}

func upgradePreLaunch(s *Server, c *call, vm *cvm) answer {
	doc, err := vm.doc.with(map[string]any{"pre_launch_script": officialScript})
	if err != nil {
		return invalidCompose(err)
	}
	return s.change(vm, change{kind: "compose_update", doc: doc}, approvalOf(c))
}
