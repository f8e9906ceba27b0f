package phalatest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/openapi"
)

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
