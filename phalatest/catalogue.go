package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// instanceType is a size that a CVM can have.
type instanceType struct {
	id, name, family string
	vcpu, memory     int // memory in MB
	disk             int // in GB
	gpus             int
	rate             string // in USD for an hour
}

func instanceTypes() []instanceType {
	return []instanceType{
		{"tdx.small", "Small", "cpu", 1, 2048, 20, 0, "0.058"},
		{"tdx.medium", "Medium", "cpu", 2, 4096, 40, 0, "0.116"},
		{"tdx.large", "Large", "cpu", 4, 8192, 60, 0, "0.232"},
		{"tdx.xlarge", "Extra large", "cpu", 8, 16384, 80, 0, "0.464"},
		{"h200.small", "H200", "gpu", 16, 196608, 200, 1, "3.5"},
	}
}

// node is a machine that CVMs run on. It has a number in each of two id spaces: node_id and teepod_id.
type node struct {
	id, teepod   int
	name, region string
	hardware     [16]byte // PPID, the identity of the processor
	device       kms.DeviceID
	used         Quotas // by the CVMs of all tenants
}

// nodes has numbers that are other machines in the other id space, so that a node id sent as a teepod id is found
// out.
func nodes() []*node {
	return []*node{
		{id: 7, teepod: 12, name: "test1", region: "test", hardware: [16]byte{15: 1}},
		{id: 12, teepod: 7, name: "test2", region: "test-2", hardware: [16]byte{15: 2}},
	}
}

func (n *node) ppid() string { return hex.EncodeToString(n.hardware[:]) }

// ppidHash is the SHA-256 of the PPID, which is not the device id under every rule.
func (n *node) ppidHash() string { return hashHex(n.hardware[:]) }

// image is an OS image.
type image struct {
	name, slug string
	version    [3]int
	dev        bool
}

func (i *image) versionText() string {
	return fmt.Sprintf("%d.%d.%d", i.version[0], i.version[1], i.version[2])
}

// boots is the image in a guest with so many megabytes of memory. Up to dstack 0.5 the guest does not send the
// image's measurements along. Below 2816 MiB its kernel is patched as for 2 GiB, unlike a real one.
func (i *image) boots(memory int) *quotetest.OSImage {
	os := quotetest.NewOSImage(i.name)
	os.Version, os.Development, os.HashOnly = i.versionText(), i.dev, true
	if memory >= 2816 {
		os.Memory = uint64(memory) << 20
	}
	return os
}

// hash is the SHA-256 of the image's sha256sum.txt.
func (i *image) hash() string {
	hash := i.hashBytes()
	return hex.EncodeToString(hash[:])
}

func (i *image) hashBytes() [32]byte {
	hash, err := i.boots(0).Hash()
	if err != nil {
		return [32]byte{} // no image of the catalogue
	}
	return hash
}

func images() []*image {
	return []*image{
		{"dstack-0.5.5", "dstack-055", [3]int{0, 5, 5}, false},
		{"dstack-dev-0.5.5", "dstack-dev-055", [3]int{0, 5, 5}, true},
		{"dstack-0.5.6", "dstack-056", [3]int{0, 5, 6}, false},
		{"dstack-dev-0.5.6", "dstack-dev-056", [3]int{0, 5, 6}, true},
	}
}

func (s *Server) instanceType(id string) *instanceType {
	i := slices.IndexFunc(s.types, func(t instanceType) bool { return t.id == id })
	if i < 0 {
		return nil
	}
	return &s.types[i]
}

func (s *Server) node(id int) *node {
	return s.nodeWhere(func(n *node) bool { return n.id == id })
}

func (s *Server) teepod(id int) *node {
	return s.nodeWhere(func(n *node) bool { return n.teepod == id })
}

func (s *Server) nodeWhere(is func(*node) bool) *node {
	i := slices.IndexFunc(s.nodes, is)
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

func (s *Server) image(name string) *image {
	i := slices.IndexFunc(s.images, func(i *image) bool { return i.name == name || i.slug == name })
	if i < 0 {
		return nil
	}
	return s.images[i]
}

func hashHex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func describeInstanceType(t instanceType) openapi.InstanceType {
	return openapi.InstanceType{
		ID: openapi.ID(t.id), Name: t.name, Description: fmt.Sprintf("%d vCPU, %d MB", t.vcpu, t.memory), VCPU: t.vcpu, MemoryMB: t.memory,
		HourlyRate: openapi.Decimal(t.rate), RequiresGPU: t.gpus > 0, DefaultDiskSizeGB: ref(t.disk), Family: t.family,
	}
}

func (s *Server) family(name string) []openapi.InstanceType {
	var items []openapi.InstanceType
	for _, t := range s.types {
		if t.family == name {
			items = append(items, describeInstanceType(t))
		}
	}
	return items
}

func listInstanceTypes(s *Server, _ *call) answer {
	var families openapi.InstanceTypeFamilies
	for _, name := range []string{"cpu", "gpu"} {
		items := s.family(name)
		families.Result = append(families.Result, openapi.InstanceTypeFamily{Name: name, Items: items, Total: len(items)})
	}
	return ok(families)
}

func listFamily(s *Server, c *call) answer {
	items := s.family(c.params["family"])
	if len(items) == 0 {
		return plain(http.StatusNotFound, "Unknown instance family")
	}
	return ok(openapi.InstanceTypeList{Items: items, Total: len(items), Family: c.params["family"]})
}

func (s *Server) nodeRef(n *node) openapi.NodeRef {
	return openapi.NodeRef{
		ObjectType: "node", ID: numbered(n.id), NodeID: numbered(n.id), Name: n.name, Region: n.region, DeviceID: n.device.String(),
		PPID: n.ppid(), Status: openapi.NodeStatusOnline, Version: "0.5.5",
	}
}

func listNodes(s *Server, _ *call) answer {
	var all []openapi.NodeRef
	for _, n := range s.nodes {
		all = append(all, s.nodeRef(n))
	}
	return ok(all)
}

func listPPIDs(s *Server, _ *call) answer {
	all := []string{}
	for _, n := range s.nodes {
		all = append(all, n.ppid())
	}
	return ok(all)
}

func listDeviceIDs(s *Server, _ *call) answer {
	all := []string{}
	for _, n := range s.nodes {
		all = append(all, n.device.String())
	}
	return ok(all)
}

// imagePairs groups the images by version, a production and a development one each.
func (s *Server) imagePairs() [][]*image {
	var pairs [][]*image
	for _, i := range s.images {
		if n := len(pairs); n > 0 && pairs[n-1][0].version == i.version {
			pairs[n-1] = append(pairs[n-1], i)
			continue
		}
		pairs = append(pairs, []*image{i})
	}
	return pairs
}

func listAvailableImages(s *Server, _ *call, vm *cvm) answer {
	var all []openapi.AvailableOSImage
	for _, pair := range s.imagePairs() {
		entry := openapi.AvailableOSImage{Version: pair[0].version[:]}
		for _, i := range pair {
			variant := &openapi.OSImageVariant{
				Name: i.name, Slug: i.slug, OSImageHash: i.hash(), IsCurrent: ref(i == vm.image), RequiresGPU: ref(false), Enabled: ref(true),
			}
			if i.dev {
				entry.Dev = variant
			} else {
				entry.Prod = variant
			}
		}
		all = append(all, entry)
	}
	return ok(all)
}

// size is what a CVM has of its node.
type size struct {
	kind   string // instance type
	vcpu   int
	memory int // in MB
	disk   int // in GB
	gpus   int
}

func sizeOf(t *instanceType) size { return size{t.id, t.vcpu, t.memory, t.disk, t.gpus} }

// chooseSize returns the requested instance type, or the smallest with the CPUs and the memory.
func (s *Server) chooseSize(r openapi.ProvisionRequest) (size, *answer) {
	chosen := &s.types[0]
	switch {
	case r.InstanceType != nil:
		if chosen = s.instanceType(*r.InstanceType); chosen == nil {
			return size{}, refuse(http.StatusNotFound, "ERR-02-001", "Unknown instance type "+*r.InstanceType)
		}
	case r.VCPU != nil || r.Memory != nil:
		if chosen = s.fitting(deref(r.VCPU), deref(r.Memory)); chosen == nil {
			return size{}, refuse(http.StatusBadRequest, "ERR-02-002", "No instance type has that many CPUs and that much memory")
		}
	}
	got := sizeOf(chosen)
	if r.DiskSize != nil {
		got.disk = *r.DiskSize
	}
	if got.disk <= 0 {
		return size{}, refuse(http.StatusBadRequest, "ERR-02-008", fmt.Sprintf("disk_size %d: want more than 0", got.disk))
	}
	return got, nil
}

func (s *Server) fitting(vcpu, memory int) *instanceType {
	for i, t := range s.types {
		if t.gpus == 0 && t.vcpu >= vcpu && t.memory >= memory {
			return &s.types[i]
		}
	}
	return nil
}

// resized returns a size with the changes of a request. A disk only grows.
func (s *Server) resized(old size, kind *string, vcpu, memory, disk *int) (size, *answer) {
	next := old
	switch {
	case kind != nil:
		t := s.instanceType(*kind)
		if t == nil {
			return old, refuse(http.StatusNotFound, "ERR-02-001", "Unknown instance type "+*kind)
		}
		next = sizeOf(t)
		next.disk = max(old.disk, next.disk)
	case vcpu != nil || memory != nil:
		if vcpu != nil {
			next.vcpu = *vcpu
		}
		if memory != nil {
			next.memory = *memory
		}
		t := s.fitting(next.vcpu, next.memory)
		if t == nil || next.vcpu <= 0 || next.memory <= 0 {
			return old, refuse(http.StatusBadRequest, "ERR-02-002", "No instance type has that many CPUs and that much memory")
		}
		next.kind = t.id
	}
	if disk != nil {
		if *disk < old.disk {
			return old, refuse(http.StatusBadRequest, "ERR-02-008", fmt.Sprintf("disk_size %d: the disk has %d GB and can only grow", *disk, old.disk))
		}
		next.disk = *disk
	}
	return next, nil
}

// Quotas limits the resources of all CVMs of the workspace together; 0 is no limit.
type Quotas struct {
	// CVMs is the number of CVMs.
	CVMs int
	// VCPUs is the number of virtual CPUs.
	VCPUs int
	// MemoryMB and DiskGB are megabytes and gigabytes.
	MemoryMB, DiskGB int
}

// add counts a CVM of a size, times by.
func (q *Quotas) add(of size, by int) {
	q.CVMs, q.VCPUs, q.MemoryMB, q.DiskGB = q.CVMs+by, q.VCPUs+by*of.vcpu, q.MemoryMB+by*of.memory, q.DiskGB+by*of.disk
}

// overQuota returns the error of one more CVM of that size, or nil.
func (t *Tenant) overQuota(of size) *answer {
	then := t.used
	then.add(of, 1)
	for _, m := range []struct {
		name         string
		limit, would int
	}{
		{"CVMs", t.quotas.CVMs, then.CVMs}, {"vCPUs", t.quotas.VCPUs, then.VCPUs},
		{"MB of memory", t.quotas.MemoryMB, then.MemoryMB}, {"GB of disk", t.quotas.DiskGB, then.DiskGB},
	} {
		if m.limit > 0 && m.would > m.limit {
			return refuse(http.StatusForbidden, "ERR-02-015", fmt.Sprintf("Quota exceeded: %d %s of %d", m.would, m.name, m.limit))
		}
	}
	return nil
}

// What a node has for all its CVMs.
const (
	nodeVCPU   = 4096
	nodeMemory = 16 << 20 // in MB
	nodeSlots  = 4096
)

func (s *Server) availableNode(n *node) openapi.AvailableNode {
	described := openapi.AvailableNode{
		TeepodID: numbered(n.teepod), NodeID: numbered(n.id), Name: n.name, Listed: ref(true), ResourceScore: ref(1.0),
		RemainingVCPU: ref(float64(nodeVCPU - n.used.VCPUs)), RemainingMemory: ref(float64(nodeMemory - n.used.MemoryMB)),
		RemainingCVMSlots: ref(float64(nodeSlots - n.used.CVMs)), SupportsOnChainKMS: ref(s.chain != nil), FMSPC: fmspc,
		DeviceID: n.device.String(), RegionIdentifier: n.region, DefaultKMS: s.services[0].slug,
		DeviceIDs: []openapi.NodeDevice{{DeviceID: n.device.String(), AlgorithmVersion: "1", Enabled: ref(true)}},
	}
	for _, k := range s.services {
		described.KMSList = append(described.KMSList, k.slug)
	}
	for _, i := range s.images {
		described.Images = append(described.Images, openapi.NodeOSImage{
			Name: i.name, IsDev: ref(i.dev), Version: i.version[:], OSImageHash: i.hash(), Slug: i.slug, Release: i.versionText(),
			PublishedAt: openapi.Time{Time: time.Date(2026, 1, 21, 8, 30, 5, 0, time.UTC)}, RequiresGPU: ref(false), SupportsCPU: ref(true),
			SupportsGPU: ref(false), Enabled: ref(true),
		})
	}
	return described
}

func (s *Server) availableNodes() []openapi.AvailableNode {
	var all []openapi.AvailableNode
	for _, n := range s.nodes {
		all = append(all, s.availableNode(n))
	}
	return all
}

// capacity is what the quotas of a workspace leave it in all; no bound is null.
func (t *Tenant) capacity() *openapi.WorkspaceCapacity {
	limit := func(n int) *int {
		if n == 0 {
			return nil
		}
		return &n
	}
	return &openapi.WorkspaceCapacity{
		MaxInstances: limit(t.quotas.CVMs), MaxVCPU: limit(t.quotas.VCPUs), MaxMemory: limit(t.quotas.MemoryMB), MaxDisk: limit(t.quotas.DiskGB),
	}
}

func listAvailable(s *Server, c *call) answer {
	available := openapi.AvailableNodes{Tier: workspaceTier, Capacity: c.tenant.capacity(), Nodes: s.availableNodes()}
	for _, k := range s.services {
		available.KMSList = append(available.KMSList, k.describe())
	}
	return ok(available)
}

// listCreateResources has ids that are numbers in older versions.
func listCreateResources(s *Server, c *call) answer {
	// id is the given one, or in older versions a number.
	id := func(id string, number int) openapi.ID {
		if c.hashedIDs() {
			return openapi.ID(id)
		}
		return numbered(number)
	}
	resources := openapi.CreateResources{
		Tier: workspaceTier, Capacity: c.tenant.capacity(), Nodes: s.availableNodes(),
		GPUAvailability: &openapi.GPUAvailability{
			HasReservedGPUs: ref(false), ReservedGPUCount: ref(0), HasPublicGPUs: ref(false), PublicGPUCount: ref(0),
		},
	}
	var names []string
	for _, i := range s.images {
		names = append(names, i.name)
	}
	for i, k := range s.services {
		kind := strings.ToUpper(k.kind)
		kmsID, contractID := id(k.id, i+1), id(k.contractID, i+1)
		for _, n := range s.nodes {
			resources.NodeKMSRelations = append(resources.NodeKMSRelations, openapi.NodeKMSRelation{
				TeepodID: numbered(n.teepod), KMSID: kmsID, KMSType: kind, KMSContractID: contractID, KMSContractAddress: k.address(),
				SupportedOSImages: names,
			})
		}
		resources.KMSNodes = append(resources.KMSNodes, openapi.CreateKMS{
			ID: kmsID, Slug: k.slug, URL: k.url, Version: "0.5.5", KMSType: kind, ChainID: k.chainID(), KMSContractID: contractID,
			KMSContractAddress: k.address(), SupportedOSImages: names,
		})
		resources.GatewayNodes = append(resources.GatewayNodes, openapi.GatewayNode{
			ID: id(fmt.Sprintf("gn_test%d", i+1), i+1), KMSContractID: contractID, DomainSuffix: gatewayDomain, Enabled: true,
		})
	}
	for i, t := range s.types {
		resources.InstanceTypes = append(resources.InstanceTypes, openapi.CreateInstanceType{
			ID: openapi.ID(t.id), Name: t.name, VCPU: t.vcpu, MemoryMB: t.memory, DefaultDiskSizeGB: ref(t.disk), RequiresGPU: t.gpus > 0,
			RequiresGPUCount: ref(t.gpus), Family: t.family, DisplayOrder: ref(i + 1),
		})
	}
	return ok(resources)
}

func listImages(s *Server, c *call) answer {
	var chosen []*image
	for _, i := range s.images {
		if dev := c.URL.Query().Get("is_dev"); dev == "" || dev == strconv.FormatBool(i.dev) {
			chosen = append(chosen, i)
		}
	}
	return page(c, all(chosen), pageNames{"items", "pages", 20}, func(i *image) any {
		return openapi.OSImage{
			Name: i.name, Slug: i.slug, Version: i.versionText(), OSImageHash: i.hash(), IsDev: i.dev, RequiresGPU: ref(false),
		}
	})
}
