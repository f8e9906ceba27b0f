package phalatest

// evidence is what a CVM has to prove what it runs.
type evidence struct {
	quote     string // hex
	tcbInfo   object
	eventLog  []object
	tcbSVN    string
	mrConfig  string
	collected string // error text where there is none
}

// evidence of a CVM. The cloud has no hardware, so it has none to show.
func (s *Server) evidence(_ *cvm) *evidence { return nil }

const noEvidence = "the fake cloud has no TDX hardware"

func getAttestation(s *Server, _ *call, vm *cvm) answer {
	described := object{
		"is_online": vm.running(), "is_public": deref(vm.doc.app.PublicTCBInfo), "error": noEvidence, "name": vm.name,
		"app_certificates": nil, "tcb_info": nil, "compose_file": string(vm.doc.text),
	}
	if e := s.evidence(vm); e != nil {
		described["error"], described["tcb_info"] = orNull(e.collected), e.tcbInfo
	}
	return ok(described)
}

func getAppAttestations(s *Server, _ *call, a *app) answer {
	instances := []object{}
	for _, vm := range a.cvms {
		described := object{
			"vm_uuid": dashed(vm.uuid), "name": vm.name, "instance_id": orNull(vm.instance), "status": vm.status, "image_version": vm.image.name,
			"quote": nil, "ppid": vm.node.ppid(), "ppid_sha256": vm.node.device(), "device_id": vm.node.device(), "fmspc": fmspc,
			"tee_tcb_svn": nil, "mr_config_id": nil, "cpusvn": nil, "pcesvn": nil, "tcb_info": nil, "app_certificates": nil,
			"compose_file": string(vm.doc.text), "eventlog": nil, "error": noEvidence,
		}
		if e := s.evidence(vm); e != nil {
			described["error"], described["quote"] = orNull(e.collected), e.quote
			described["tcb_info"], described["eventlog"] = e.tcbInfo, e.eventLog
			described["tee_tcb_svn"], described["mr_config_id"] = e.tcbSVN, e.mrConfig
		}
		instances = append(instances, described)
	}
	contract, _ := a.contract().(string) // empty, not null, where there is none
	kmsContract, _ := a.kms.address().(string)
	return ok(object{
		"app_id": a.id.String(), "contract_address": contract,
		"kms_info": object{
			"contract_address": kmsContract, "chain_id": a.kms.chainID(), "version": "0.5.5", "url": a.kms.url, "gateway_app_id": nil,
			"gateway_app_url": "https://gateway." + gatewayDomain, "kms_type": a.kms.kind,
		},
		"instances": instances, "kms_guest_agent_info": nil, "gateway_guest_agent_info": nil, "qemu_version": nil,
	})
}

func evaluateTCB(s *Server, _ *call, a *app) answer {
	instances := []object{}
	for _, vm := range a.cvms {
		instances = append(instances, object{
			"vm_uuid": dashed(vm.uuid), "name": vm.name, "instance_id": vm.instance, "status": vm.status, "image_version": vm.image.name,
			"ppid": vm.node.ppid(), "device_id": vm.node.device(), "evaluation_update": "early", "evaluation_ok": nil,
			"evaluation_status": nil, "error": noEvidence,
		})
	}
	return ok(object{"app_id": a.id.String(), "update": "early", "instances": instances})
}
