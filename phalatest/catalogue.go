package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
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

func instanceTypes() []*instanceType {
	return []*instanceType{
		{"tdx.small", "Small", "cpu", 1, 2048, 20, 0, "0.058"},
		{"tdx.medium", "Medium", "cpu", 2, 4096, 40, 0, "0.116"},
		{"tdx.large", "Large", "cpu", 4, 8192, 60, 0, "0.232"},
		{"tdx.xlarge", "Extra large", "cpu", 8, 16384, 80, 0, "0.464"},
		{"h200.small", "H200", "gpu", 16, 196608, 200, 1, "3.5"},
	}
}

func (s *Server) instanceType(id string) *instanceType {
	return first(s.types, func(t *instanceType) bool { return t.id == id })
}

// size is the resources of a CVM.
type size struct {
	instanceType string
	vcpu         int
	memory       int // in MB
	disk         int // in GB
	gpus         int
}

func (t *instanceType) size() size { return size{t.id, t.vcpu, t.memory, t.disk, t.gpus} }

// smallestType returns the smallest instance type with the CPUs and the memory.
func (s *Server) smallestType(vcpu, memory int) (*instanceType, *response) {
	t := first(s.types, func(t *instanceType) bool { return t.gpus == 0 && t.vcpu >= vcpu && t.memory >= memory })
	if t == nil {
		return nil, codedError(http.StatusBadRequest, "ERR-02-002", "No instance type has that many CPUs and that much memory")
	}
	return t, nil
}

// knownType returns an instance type, or the error of an unknown one.
func (s *Server) knownType(id string) (*instanceType, *response) {
	t := s.instanceType(id)
	if t == nil {
		return nil, codedError(http.StatusNotFound, "ERR-02-001", "Unknown instance type "+id)
	}
	return t, nil
}

// chooseSize returns the requested instance type, or the smallest with the CPUs and the memory.
func (s *Server) chooseSize(r openapi.ProvisionRequest) (size, *response) {
	t, bad := s.types[0], (*response)(nil)
	switch {
	case r.InstanceType != nil:
		t, bad = s.knownType(*r.InstanceType)
	case r.VCPU != nil || r.Memory != nil:
		t, bad = s.smallestType(deref(r.VCPU), deref(r.Memory))
	}
	if bad != nil {
		return size{}, bad
	}
	chosen := t.size()
	if setIf(&chosen.disk, r.DiskSize); chosen.disk <= 0 {
		return size{}, codedError(http.StatusBadRequest, "ERR-02-008", fmt.Sprintf("disk_size %d: want more than 0", chosen.disk))
	}
	return chosen, nil
}

// resized returns a size with the changes of a request. A disk only grows.
func (s *Server) resized(old size, typeID *string, vcpu, memory, disk *int) (size, *response) {
	next := old
	switch {
	case typeID != nil:
		t, bad := s.knownType(*typeID)
		if bad != nil {
			return old, bad
		}
		next = t.size()
		next.disk = max(old.disk, next.disk)
	case vcpu != nil || memory != nil:
		setIf(&next.vcpu, vcpu)
		setIf(&next.memory, memory)
		t, bad := s.smallestType(next.vcpu, next.memory)
		switch {
		case bad != nil:
			return old, bad
		case next.vcpu <= 0 || next.memory <= 0:
			return old, codedError(http.StatusBadRequest, "ERR-02-002", "CPUs and memory: want more than 0")
		}
		next.instanceType = t.id
	}
	if setIf(&next.disk, disk); disk != nil && *disk < old.disk {
		return old, codedError(http.StatusBadRequest, "ERR-02-008", fmt.Sprintf("disk_size %d: the disk has %d GB and can only grow", *disk, old.disk))
	}
	return next, nil
}

// setIf sets a value unless the new one is nil.
func setIf[T any](value *T, next *T) {
	if next != nil {
		*value = *next
	}
}

func (t *instanceType) describe() openapi.InstanceType {
	return openapi.InstanceType{
		ID: openapi.ID(t.id), Name: t.name, Description: fmt.Sprintf("%d vCPU, %d MB", t.vcpu, t.memory), VCPU: t.vcpu, MemoryMB: t.memory,
		HourlyRate: openapi.Decimal(t.rate), RequiresGPU: t.gpus > 0, DefaultDiskSizeGB: ref(t.disk), Family: t.family,
	}
}

func (s *Server) family(name string) []openapi.InstanceType {
	var items []openapi.InstanceType
	for _, t := range s.types {
		if t.family == name {
			items = append(items, t.describe())
		}
	}
	return items
}

func (s *Server) answerInstanceTypesList(*call) *response {
	return ok(openapi.InstanceTypeFamilies{Result: mapped([]string{"cpu", "gpu"}, func(name string) openapi.InstanceTypeFamily {
		items := s.family(name)
		return openapi.InstanceTypeFamily{Name: name, Items: items, Total: len(items)}
	})})
}

func (s *Server) answerInstanceTypesListFamily(c *call) *response {
	items := s.family(c.params["family"])
	if len(items) == 0 {
		return plainError(http.StatusNotFound, "Unknown instance family")
	}
	return ok(openapi.InstanceTypeList{Items: items, Total: len(items), Family: c.params["family"]})
}

// node is a machine that CVMs run on. It has a number in each of two id spaces: node_id and teepod_id.
type node struct {
	id, teepod   int
	name, region string
	hardware     [16]byte // PPID, the identity of the processor
	device       kms.DeviceID
	used         Quotas // by the CVMs of all workspaces
}

// nodes have numbers that identify another node in the other id space, so that tests detect a node id that is sent as a
// teepod id.
func nodes() []*node {
	return []*node{
		{id: 7, teepod: 12, name: "test1", region: "test", hardware: [16]byte{15: 1}},
		{id: 12, teepod: 7, name: "test2", region: "test-2", hardware: [16]byte{15: 2}},
	}
}

// The FMSPC of all nodes, and the resources of each for all its CVMs.
const (
	fmspc      = "b0c06f000000"
	nodeVCPU   = 4096
	nodeMemory = 16 << 20 // in MB
	nodeSlots  = 4096
)

func (n *node) ppid() string { return hex.EncodeToString(n.hardware[:]) }

// ppidHash returns the SHA-256 of the PPID, which is not the device id under every [DeviceRule].
func (n *node) ppidHash() string { return hashHex(n.hardware[:]) }

func hashHex(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func (s *Server) node(id int) *node {
	return first(s.nodes, func(n *node) bool { return n.id == id })
}

// chooseNode returns the requested node in either id space, or the first of the region.
func (s *Server) chooseNode(nodeID, teepodID *int, region *string) (*node, *response) {
	switch {
	case nodeID != nil && teepodID != nil:
		return nil, codedError(http.StatusBadRequest, "ERR-02-009", "node_id and teepod_id exclude each other")
	case nodeID != nil:
		if n := s.node(*nodeID); n != nil {
			return n, nil
		}
		return nil, codedError(http.StatusNotFound, "ERR-01-001", fmt.Sprintf("Node %d was not found", *nodeID))
	case teepodID != nil:
		if n := first(s.nodes, func(n *node) bool { return n.teepod == *teepodID }); n != nil {
			return n, nil
		}
		return nil, codedError(http.StatusNotFound, "ERR-01-001", fmt.Sprintf("Teepod %d was not found", *teepodID))
	}
	if n := first(s.nodes, func(n *node) bool { return region == nil || *region == n.region }); n != nil {
		return n, nil
	}
	return nil, codedError(http.StatusBadRequest, "ERR-02-002", "No node in region "+*region)
}

func (n *node) ref() openapi.NodeRef {
	return openapi.NodeRef{
		ObjectType: "node", ID: numbered(n.id), NodeID: numbered(n.id), Name: n.name, Region: n.region, DeviceID: n.device.String(),
		PPID: n.ppid(), Status: openapi.NodeStatusOnline, Version: platformVersion,
	}
}

func (s *Server) answerAttestationsListNodes(*call) *response {
	return ok(mapped(s.nodes, (*node).ref))
}

func (s *Server) answerAttestationsListPPIDs(*call) *response {
	return ok(mapped(s.nodes, (*node).ppid))
}

func (s *Server) answerAttestationsListDeviceIDs(*call) *response {
	return ok(mapped(s.nodes, func(n *node) string { return n.device.String() }))
}

type image struct {
	name, slug string
	version    [3]int
	dev        bool
}

func images() []*image {
	return []*image{
		{"dstack-0.5.5", "dstack-055", [3]int{0, 5, 5}, false},
		{"dstack-dev-0.5.5", "dstack-dev-055", [3]int{0, 5, 5}, true},
		{"dstack-0.5.6", "dstack-056", [3]int{0, 5, 6}, false},
		{"dstack-dev-0.5.6", "dstack-dev-056", [3]int{0, 5, 6}, true},
	}
}

func (i *image) versionText() string {
	return fmt.Sprintf("%d.%d.%d", i.version[0], i.version[1], i.version[2])
}

// booted returns the image in a guest with a memory in megabytes. Up to dstack 0.5 the guest does not send the image's
// measurements. Below 2816 MiB its kernel is patched as for 2 GiB, unlike a real one.
func (i *image) booted(memory int) *quotetest.OSImage {
	os := quotetest.NewOSImage(i.name)
	os.Version, os.Development, os.HashOnly = i.versionText(), i.dev, true
	if memory >= 2816 {
		os.Memory = uint64(memory) << 20
	}
	return os
}

// hash returns the SHA-256 of the image's sha256sum.txt.
func (i *image) hash() string {
	hash := i.hashBytes()
	return hex.EncodeToString(hash[:])
}

func (i *image) hashBytes() [32]byte {
	hash, err := i.booted(0).Hash()
	if err != nil {
		return [32]byte{} // not an image of the catalogue
	}
	return hash
}

// image returns an image by its name or slug, or the error of an unknown one.
func (s *Server) image(name string) (*image, *response) {
	i := first(s.images, func(i *image) bool { return i.name == name || i.slug == name })
	if i == nil {
		return nil, codedError(http.StatusNotFound, "ERR-02-010", "Unknown image "+name)
	}
	return i, nil
}

func (s *Server) answerOSImagesList(c *call) *response {
	var chosen []*image
	for _, i := range s.images {
		if dev := c.URL.Query().Get("is_dev"); dev == "" || dev == strconv.FormatBool(i.dev) {
			chosen = append(chosen, i)
		}
	}
	return page(c, inOrder(chosen), pageStyle{"items", "pages", 20}, func(i *image) any {
		return openapi.OSImage{
			Name: i.name, Slug: i.slug, Version: i.versionText(), OSImageHash: i.hash(), IsDev: i.dev, RequiresGPU: ref(false),
		}
	})
}

// answerCVMsListAvailableOSImages groups the images by version.
func (s *Server) answerCVMsListAvailableOSImages(c *call) *response {
	var all []openapi.AvailableOSImage
	for n, i := range s.images {
		if n == 0 || s.images[n-1].version != i.version {
			all = append(all, openapi.AvailableOSImage{Version: i.version[:]})
		}
		variant := &openapi.OSImageVariant{
			Name: i.name, Slug: i.slug, OSImageHash: i.hash(), IsCurrent: ref(i == c.vm.image), RequiresGPU: ref(false), Enabled: ref(true),
		}
		if newest := &all[len(all)-1]; i.dev {
			newest.Dev = variant
		} else {
			newest.Prod = variant
		}
	}
	return ok(all)
}

func (s *Server) availableNode(n *node) openapi.AvailableNode {
	return openapi.AvailableNode{
		TeepodID: numbered(n.teepod), NodeID: numbered(n.id), Name: n.name, Listed: ref(true), ResourceScore: ref(1.0),
		RemainingVCPU: ref(float64(nodeVCPU - n.used.VCPUs)), RemainingMemory: ref(float64(nodeMemory - n.used.MemoryMB)),
		RemainingCVMSlots: ref(float64(nodeSlots - n.used.CVMs)), SupportsOnChainKMS: ref(s.chain != nil), FMSPC: fmspc,
		DeviceID: n.device.String(), RegionIdentifier: n.region, DefaultKMS: s.services[0].slug,
		DeviceIDs: []openapi.NodeDevice{{DeviceID: n.device.String(), AlgorithmVersion: "1", Enabled: ref(true)}},
		KMSList:   mapped(s.services, func(k *kmsService) string { return k.slug }),
		Images: mapped(s.images, func(i *image) openapi.NodeOSImage {
			return openapi.NodeOSImage{
				Name: i.name, IsDev: ref(i.dev), Version: i.version[:], OSImageHash: i.hash(), Slug: i.slug, Release: i.versionText(),
				PublishedAt: openapi.Time{Time: time.Date(2026, 1, 21, 8, 30, 5, 0, time.UTC)}, RequiresGPU: ref(false), SupportsCPU: ref(true),
				SupportsGPU: ref(false), Enabled: ref(true),
			}
		}),
	}
}

// capacity returns the limits of the workspace; no limit is null.
func (w *Workspace) capacity() *openapi.WorkspaceCapacity {
	limit := func(n int) *int {
		if n == 0 {
			return nil
		}
		return &n
	}
	return &openapi.WorkspaceCapacity{
		MaxInstances: limit(w.quotas.CVMs), MaxVCPU: limit(w.quotas.VCPUs), MaxMemory: limit(w.quotas.MemoryMB), MaxDisk: limit(w.quotas.DiskGB),
	}
}

func (s *Server) answerNodesListAvailable(c *call) *response {
	return ok(openapi.AvailableNodes{
		Tier: workspaceTier, Capacity: c.workspace.capacity(), Nodes: mapped(s.nodes, s.availableNode),
		KMSList: mapped(s.services, (*kmsService).describe),
	})
}

func (s *Server) answerNodesListCreateResources(c *call) *response {
	// id returns the given id, or in older versions a number.
	id := func(id string, number int) openapi.ID {
		if c.hashedIDs() {
			return openapi.ID(id)
		}
		return numbered(number)
	}
	resources := openapi.CreateResources{
		Tier: workspaceTier, Capacity: c.workspace.capacity(), Nodes: mapped(s.nodes, s.availableNode),
		GPUAvailability: &openapi.GPUAvailability{
			HasReservedGPUs: ref(false), ReservedGPUCount: ref(0), HasPublicGPUs: ref(false), PublicGPUCount: ref(0),
		},
	}
	images := mapped(s.images, func(i *image) string { return i.name })
	for i, k := range s.services {
		kind := strings.ToUpper(k.kind)
		kmsID, contractID := id(k.id, i+1), id(k.contractID, i+1)
		for _, n := range s.nodes {
			resources.NodeKMSRelations = append(resources.NodeKMSRelations, openapi.NodeKMSRelation{
				TeepodID: numbered(n.teepod), KMSID: kmsID, KMSType: kind, KMSContractID: contractID, KMSContractAddress: k.address(),
				SupportedOSImages: images,
			})
		}
		resources.KMSNodes = append(resources.KMSNodes, openapi.CreateKMS{
			ID: kmsID, Slug: k.slug, URL: k.url, Version: platformVersion, KMSType: kind, ChainID: k.chainID(), KMSContractID: contractID,
			KMSContractAddress: k.address(), SupportedOSImages: images,
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
