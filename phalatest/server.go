package phalatest

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/internal/description"
	"github.com/phala-go/phala/phalatest/internal/inmemory"
)

// TB is the part of testing.TB that a server uses, so that programs need not import package testing.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Server is a Phala Cloud in this process. It is safe for concurrent use.
type Server struct {
	// APIKey is the key of the first workspace; see [Server.NewWorkspace] for others.
	APIKey string `json:"-"`

	tb           TB
	log          *slog.Logger
	lenient      bool
	script       string // the pre-launch script of documents without one
	undocumented undocumented
	seed         string
	clock        *clock
	described    *description.Description
	encoder      encoder
	router       description.Router[route]
	root         *ecdsa.PrivateKey // of the central KMS
	chain        Chain
	services     []*kmsService // the central one first
	types        []*instanceType
	nodes        []*node
	images       []*image
	quotas       Quotas // of the first workspace
	hardware     hardware

	listen    sync.Once
	http      *httptest.Server
	listenErr error
	inMemory  sync.WaitGroup
	webhooks  *webhooks

	mu         sync.Mutex   // of all that follows
	workspaces []*Workspace // the workspace of the server itself first
	provisions map[provisionKey]*provision
	expiring   []*provision         // oldest first
	prepared   map[string]*prepared // by token
	apps       map[kms.AppID]*app
	index      map[string][]*cvm   // by identifier
	busy       []*cvm              // in an operation
	scheduled  []*cvm              // to be deleted at a time
	advanced   int64               // tick up to which the CVMs have advanced
	github     map[string][]string // public keys by user
	dns        map[string]string
	quotes     map[string]*uploadedQuote  // by checksum
	recent     []*uploadedQuote           // oldest first
	nodeInfos  map[string]openapi.RawJSON // of the KMSs and the gateway, by name
	streams    int

	// The last assigned numbers.
	number, appNumber, portNumber, keyNumber, revision int

	faults    map[operationName][]Fault
	tampers   map[operationName]func(int, []byte) (int, []byte)
	bootFails map[string]string  // error by the name of the CVM
	forged    map[string]*forged // by the name of the CVM
	requests  requestLog
}

// New starts a cloud for a test and closes it when the test ends.
func New(t TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatalf("phalatest: %v", err)
		return nil
	}
	s.tb = t
	t.Cleanup(s.Close)
	return s
}

// Start starts a cloud for a program, which must close it. It returns an error if an option is invalid.
func Start(opts ...Option) (*Server, error) {
	s := &Server{
		APIKey:     "phak_test",
		seed:       "phalatest",
		script:     officialScript,
		clock:      newClock(DefaultTick),
		router:     description.NewRouter(routes(), (*route).described),
		types:      instanceTypes(),
		nodes:      nodes(),
		images:     images(),
		provisions: map[provisionKey]*provision{},
		prepared:   map[string]*prepared{},
		apps:       map[kms.AppID]*app{},
		index:      map[string][]*cvm{},
		github:     map[string][]string{},
		dns:        map[string]string{},
		quotes:     map[string]*uploadedQuote{},
		nodeInfos:  map[string]openapi.RawJSON{},
		faults:     map[operationName][]Fault{},
		tampers:    map[operationName]func(int, []byte) (int, []byte){},
		bootFails:  map[string]string{},
		forged:     map[string]*forged{},
		webhooks:   newWebhooks(),
		requests:   requestLog{limit: DefaultRequestLog},
	}
	for _, o := range opts {
		if err := o(s); err != nil {
			return nil, fmt.Errorf("phalatest: %w", err)
		}
	}
	var err error
	if s.described, err = readDescription(); err != nil {
		return nil, fmt.Errorf("phalatest: %w", err)
	}
	if s.root, err = crypto.ToECDSA(crypto.Keccak256([]byte("kms root"), []byte(s.seed))); err != nil {
		return nil, fmt.Errorf("phalatest: seed: %w", err)
	}
	if err := s.setDevices(); err != nil {
		return nil, fmt.Errorf("phalatest: %w", err)
	}
	s.addWorkspace("Test", s.APIKey).quotas = s.quotas
	s.services = []*kmsService{centralKMS(s.root)}
	if s.chain != nil {
		s.services = append(s.services, chainKMS(s.chain))
	}
	return s, nil
}

// Close ends the cloud and its connections.
func (s *Server) Close() {
	if s.http != nil {
		s.http.CloseClientConnections()
		s.http.Close()
	}
	s.closeWebhooks()
	s.inMemory.Wait()
}

// String returns a name without the key.
func (s *Server) String() string { return "fake cloud" }

// Format writes what String returns, whatever the verb.
func (s *Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue returns the text of String, so that the key is never logged.
func (s *Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// URL returns the base URL of the server on a loopback address. The first call opens the port.
func (s *Server) URL() string {
	s.listen.Do(func() {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			s.listenErr = err
			return
		}
		s.http = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
		s.http.Start()
	})
	if s.listenErr != nil {
		s.failTest("no port on the loopback address: %v", s.listenErr)
		return ""
	}
	return s.http.URL + "/api/v1"
}

// Client returns a client of this cloud with [Server.APIKey], through [Server.Transport]. The given options come
// last.
func (s *Server) Client(opts ...client.Option) (*client.Client, error) {
	return s.own().Client(opts...)
}

// own returns the workspace of the server itself, to which [Server.APIKey] belongs.
func (s *Server) own() *Workspace { return s.workspaces[0] }

// Transport returns a transport that serves requests without a network, also within testing/synctest.
func (s *Server) Transport() http.RoundTripper {
	return inmemory.Transport{Handler: s, Running: &s.inMemory}
}

// KMSRoot returns the root key of the central KMS, for pinning.
func (s *Server) KMSRoot() kms.RootKey { return kms.RootKeyOf(s.root) }

// TeamWallet returns the address of the wallet in the cloud whose nonces determine the app ids.
func (s *Server) TeamWallet() common.Address { return s.own().wallet }

// Tick advances all CVMs by one step, after [WithManualTicks].
func (s *Server) Tick() {
	s.clock.advance()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
}

// failTest fails the test because of a wrong request or use of the server, unless the server is lenient.
func (s *Server) failTest(format string, args ...any) {
	if s.log != nil {
		s.log.Warn(fmt.Sprintf(format, args...))
	}
	if s.tb != nil && !s.lenient {
		s.tb.Helper()
		s.tb.Errorf("phalatest: "+format, args...)
	}
}

// requireOperation fails the test if there is no operation of that name.
func (s *Server) requireOperation(operation string) {
	if !slices.ContainsFunc(routes(), func(r route) bool { return string(r.operation) == operation }) {
		s.failTest("%s is no operation of the API", operation)
	}
}
