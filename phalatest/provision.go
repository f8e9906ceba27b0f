package phalatest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// provisionTTL is how long a provision can be committed.
const provisionTTL = 14 * 24 * time.Hour

type provisionKey struct {
	app  kms.AppID
	hash compose.Hash
}

// provision is an app-compose that the cloud knows and nothing runs yet.
type provision struct {
	key     provisionKey
	request openapi.ProvisionRequest
	text    []byte // the completed app-compose
	app     *compose.App
	expires time.Time
}

// officialScript is what the cloud adds where an app has no pre-launch script.
const officialScript = "#!/bin/bash\n# phalatest pre-launch script v1\necho \"----------------------------------------------\"\n"

// complete fills in the platform's defaults and gives the exact text that a CVM gets.
func complete(doc []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, err
	}
	for name, value := range members {
		if string(value) == "null" {
			delete(members, name)
		}
	}
	script, err := json.Marshal(officialScript)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"allowed_envs": `[]`, "features": `["kms","tproxy-net"]`, "gateway_enabled": `true`, "kms_enabled": `true`,
		"local_key_provider_enabled": `false`, "manifest_version": `2`, "name": `""`, "no_instance_id": `false`,
		"pre_launch_script": string(script), "public_logs": `true`, "public_sysinfo": `true`, "public_tcbinfo": `true`,
		"runner": `"docker-compose"`, "secure_time": `false`, "storage_fs": `"zfs"`, "tproxy_enabled": `true`,
	} {
		if _, given := members[name]; !given {
			members[name] = json.RawMessage(value)
		}
	}
	full, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return compose.Canonicalize(full)
}

func provisionCVM(s *Server, c *call) answer {
	var request openapi.ProvisionRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	var raw struct {
		ComposeFile json.RawMessage `json:"compose_file"`
	}
	if err := json.Unmarshal(c.body, &raw); err != nil {
		return invalid(err.Error(), "value_error", "body", "compose_file")
	}
	if err := compose.ValidateName(request.Name); err != nil {
		return invalid("Value error, "+err.Error(), "value_error", "body", "name")
	}
	if request.KMS != nil && *request.KMS != openapi.KMSTypePhala {
		return structured(http.StatusBadRequest, "ERR-02-011", "the fake cloud has the central KMS only")
	}
	if request.ComposeFile.DockerComposeFile == nil || *request.ComposeFile.DockerComposeFile == "" {
		return structured(http.StatusBadRequest, "ERR-01-002", "Compose file is required")
	}
	text, err := complete(raw.ComposeFile)
	if err != nil {
		return structured(http.StatusBadRequest, "ERR-01-003", err.Error())
	}
	app, err := compose.Parse(text)
	if err == nil {
		err = app.Validate()
	}
	if err != nil {
		return structured(http.StatusBadRequest, "ERR-01-003", err.Error())
	}
	for _, vm := range s.cvms {
		if vm.name == request.Name {
			return structured(http.StatusConflict, "ERR-01-004", fmt.Sprintf("A CVM named %s exists already", request.Name))
		}
	}
	hash := compose.Sum(text)
	id, bad, ok := s.chooseAppID(request, hash)
	if !ok {
		return bad
	}
	p := &provision{
		key: provisionKey{id, hash}, request: request, text: text, app: app,
		expires: time.Now().Add(provisionTTL),
	}
	s.provisions[p.key] = p
	return s.describeProvision(p)
}

// chooseAppID gives the app id that was asked for, or else the next of the wallet.
func (s *Server) chooseAppID(request openapi.ProvisionRequest, hash compose.Hash) (kms.AppID, answer, bool) {
	refuse := func(message string) (kms.AppID, answer, bool) {
		return kms.AppID{}, structured(http.StatusBadRequest, "ERR-02-008", message), false
	}
	switch {
	case request.Nonce == nil && request.AppID == nil:
		id := kms.DeriveAppID(s.keys.wallet, s.nonce)
		s.nonce++
		return id, answer{}, true
	case request.Nonce == nil || request.AppID == nil:
		return refuse("nonce and app_id go together")
	case *request.Nonce < 0:
		return refuse("the nonce is negative")
	}
	id, err := kms.ParseAppID(*request.AppID)
	nonce := uint64(*request.Nonce)
	switch {
	case err != nil:
		return refuse(err.Error())
	case id != kms.DeriveAppID(s.keys.wallet, nonce):
		return refuse("the app_id does not follow from the nonce")
	}
	if _, again := s.provisions[provisionKey{id, hash}]; again {
		return id, answer{}, true
	}
	if nonce < s.nonce {
		return refuse(fmt.Sprintf("the nonce %d has been used", nonce))
	}
	s.nonce = nonce + 1
	return id, answer{}, true
}

// nodeDevice is the device id of the one node.
func nodeDevice() string { return fmt.Sprintf("%x", sha256.Sum256([]byte("phalatest node"))) }

func (s *Server) describeProvision(p *provision) answer {
	key, err := s.keys.envPublicKey(p.key.app)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	instanceType := "tdx.small"
	if p.request.InstanceType != nil {
		instanceType = *p.request.InstanceType
	}
	return ok(object{
		"app_id": p.key.app.String(), "compose_hash": p.key.hash.String(),
		"app_env_encrypt_pubkey": key.String(), "device_id": nodeDevice(), "fmspc": "b0c06f000000",
		"os_image_hash": fmt.Sprintf("%x", sha256.Sum256([]byte("dstack-0.5.5"))),
		"instance_type": instanceType, "teepod_id": 1, "kms_info": s.describeKMS(),
	})
}

// errNoProvision says that nothing was provisioned for an app id and hash, or too long ago.
var errNoProvision = errors.New("no provision")

func (s *Server) findProvision(appText, hashText string) (*provision, error) {
	id, err := kms.ParseAppID(appText)
	if err != nil {
		return nil, err
	}
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return nil, err
	}
	p := s.provisions[provisionKey{id, hash}]
	if p == nil || time.Now().After(p.expires) {
		return nil, errNoProvision
	}
	return p, nil
}
