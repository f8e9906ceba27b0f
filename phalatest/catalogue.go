package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

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
