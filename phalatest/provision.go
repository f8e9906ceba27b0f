package phalatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// provisionTTL is the time in which a provision or a prepared change can be committed.
const provisionTTL = 14 * 24 * time.Hour

type provisionKey struct {
	workspace *Workspace
	app       kms.AppID
	hash      compose.Hash
}

// provision is a provisioned app-compose, which no CVM runs yet.
type provision struct {
	key         provisionKey // without an app id if the contract is yet to be deployed
	kms         *kmsService
	envKey      kms.PublicKey
	name        string
	doc         *document
	size        size
	image       *image
	node        *node
	listed      bool
	userConfig  string
	kmsURLs     []string
	gatewayURLs []string
	ports       []openapi.ProvisionPort
	expires     time.Time
}

// provisionRequest keeps the received bytes of the document, which the type of the description cannot always represent.
type provisionRequest struct {
	openapi.ProvisionRequest
	ComposeFile json.RawMessage `json:"compose_file"`
}

func (s *Server) answerCVMsProvision(c *call, r provisionRequest) *response {
	return s.answerProvision(c, r.ProvisionRequest, r.ComposeFile)
}

func (s *Server) answerProvision(c *call, r openapi.ProvisionRequest, composeFile []byte) *response {
	p, bad := s.provision(c.workspace, r, composeFile)
	if bad != nil {
		return bad
	}
	return ok(p.describe())
}

func (s *Server) provision(w *Workspace, request openapi.ProvisionRequest, composeFile []byte) (*provision, *response) {
	if bad := checkName(request.Name); bad != nil {
		return nil, bad
	}
	service := s.chooseService(string(deref(request.KMS)), deref(request.KMSContract), deref(request.KMSContractID), deref(request.KMSID))
	if service == nil {
		return nil, codedError(http.StatusNotFound, "ERR-02-011", "No such KMS")
	}
	doc, bad := s.completeDocument(composeFile)
	if bad != nil {
		return nil, bad
	}
	if len(w.withName(request.Name)) > 0 {
		return nil, nameTaken(request.Name)
	}
	size, bad := s.chooseSize(request)
	if bad != nil {
		return nil, bad
	}
	if bad := w.checkQuota(size); bad != nil {
		return nil, bad
	}
	node, bad := s.chooseNode(request.NodeID, request.TeepodID, request.Region)
	if bad != nil {
		return nil, bad
	}
	image, bad := s.chooseImage(request.Image, request.PreferDev == nil || *request.PreferDev)
	if bad != nil {
		return nil, bad
	}
	id, bad := w.chooseAppID(request, service, doc.hash)
	if bad != nil {
		return nil, bad
	}
	key, err := service.envPublicKey(id)
	if err != nil {
		return nil, codedError(http.StatusInternalServerError, "", err.Error())
	}
	p := &provision{
		key: provisionKey{w, id, doc.hash}, kms: service, envKey: key, name: request.Name, doc: doc, size: size, image: image, node: node,
		listed: deref(request.Listed), userConfig: deref(request.UserConfig),
		kmsURLs: request.KMSURLs, gatewayURLs: request.GatewayURLs, ports: request.Ports,
		expires: time.Now().Add(provisionTTL),
	}
	s.dropExpiredProvisions()
	s.provisions[p.key] = p
	s.expiring = append(s.expiring, p)
	return p, nil
}

func (s *Server) dropExpiredProvisions() {
	now := time.Now()
	for len(s.expiring) > 0 && now.After(s.expiring[0].expires) {
		p := s.expiring[0]
		s.expiring = s.expiring[1:]
		if s.provisions[p.key] == p { // else the same was provisioned again
			delete(s.provisions, p.key)
		}
	}
}

func (s *Server) chooseImage(name *string, dev bool) (*image, *response) {
	if name != nil {
		return s.image(*name)
	}
	return first(s.images, func(i *image) bool { return i.dev == dev }), nil
}

// chooseAppID returns the requested app id, or else the next of the wallet.
func (w *Workspace) chooseAppID(request openapi.ProvisionRequest, service *kmsService, hash compose.Hash) (kms.AppID, *response) {
	no := func(message string) (kms.AppID, *response) {
		return kms.AppID{}, codedError(http.StatusBadRequest, "ERR-02-008", message)
	}
	switch {
	case service.onChain() && request.Nonce != nil:
		return no("a nonce is for the central KMS")
	case service.onChain() && request.AppID == nil:
		return kms.AppID{}, nil
	case service.onChain():
		id, err := kms.ParseAppID(*request.AppID)
		if err != nil {
			return no(err.Error())
		}
		return id, nil
	case request.Nonce == nil && request.AppID == nil:
		id := kms.DeriveAppID(w.wallet, w.nonce)
		w.nonce++
		return id, nil
	case request.Nonce == nil || request.AppID == nil:
		return no("nonce and app_id go together")
	case *request.Nonce < 0:
		return no("the nonce is negative")
	}
	id, err := kms.ParseAppID(*request.AppID)
	nonce := uint64(*request.Nonce)
	switch {
	case err != nil:
		return no(err.Error())
	case id != kms.DeriveAppID(w.wallet, nonce):
		return no("the app_id does not follow from the nonce")
	}
	if _, again := w.server.provisions[provisionKey{w, id, hash}]; again {
		return id, nil
	}
	if nonce < w.nonce {
		return no(fmt.Sprintf("the nonce %d has been used", nonce))
	}
	w.nonce = nonce + 1
	return id, nil
}

// withAppID returns the provision of an app on a chain with its id, which is the address of its contract.
func (p *provision) withAppID(id kms.AppID) (*provision, error) {
	var err error
	named := *p
	named.key.app = id
	named.envKey, err = p.kms.envPublicKey(id)
	return &named, err
}

func (p *provision) describe() openapi.Provision {
	described := openapi.Provision{
		ComposeHash: p.key.hash.String(), DeviceID: p.node.device.String(), FMSPC: fmspc, OSImageHash: p.image.hash(), InstanceType: p.size.instanceType,
		TeepodID: numbered(p.node.teepod), NodeID: numbered(p.node.id), KMSInfo: ref(p.kms.describe()),
	}
	if !p.key.app.IsZero() {
		described.AppID = p.key.app.String()
	}
	if !p.kms.onChain() {
		described.AppEnvEncryptPublicKey = p.envKey.String()
	}
	return described
}

// errNoProvision is returned if there is no provision of an app id and hash, or an expired one.
var errNoProvision = errors.New("no provision")

func (w *Workspace) findProvision(appText, hashText string) (*provision, error) {
	id, err := kms.ParseAppID(appText)
	if err != nil {
		return nil, err
	}
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return nil, err
	}
	p := w.server.provisions[provisionKey{w, id, hash}]
	if p == nil { // the id of an app on a chain is known only after its contract was deployed
		p = w.server.provisions[provisionKey{workspace: w, hash: hash}]
	}
	if p == nil || time.Now().After(p.expires) {
		return nil, errNoProvision
	}
	return p, nil
}

// answerCVMsProvisionEliza provisions an agent from its character file.
func (s *Server) answerCVMsProvisionEliza(c *call, r openapi.ProvisionElizaRequest) *response {
	composeFile, err := json.Marshal(object{
		"docker_compose_file": "services:\n  eliza:\n    image: phalanetwork/eliza\n", "allowed_envs": append([]string{}, r.EnvKeys...),
	})
	if err != nil {
		return invalidCompose(err)
	}
	return s.answerProvision(c, openapi.ProvisionRequest{Name: r.Name, TeepodID: r.TeepodID, Image: r.Image}, composeFile)
}

// models returns the models that workloads can serve.
func models() []string { return []string{"phala/qwen-2.5-7b-instruct", "phala/gpt-oss-20b"} }

// answerCVMsCreateWorkload provisions and creates a CVM that serves a model.
func (s *Server) answerCVMsCreateWorkload(c *call, r openapi.CreateWorkloadRequest) *response {
	if !slices.Contains(models(), r.ModelID) {
		return plainError(http.StatusBadRequest, "Unknown model "+r.ModelID)
	}
	composeFile, err := json.Marshal(object{"docker_compose_file": "services:\n  model:\n    image: vllm/vllm-openai\n    command: --model " + r.ModelID + "\n"})
	if err != nil {
		return invalidCompose(err)
	}
	p, bad := s.provision(c.workspace, openapi.ProvisionRequest{Name: r.Name, InstanceType: &r.InstanceType}, composeFile)
	if bad != nil {
		return bad
	}
	vm := s.firstCVM(p)
	out := s.launch(c, vm, nil)
	s.scheduleDelete(vm, r.ScheduledDeleteAt)
	return out
}
