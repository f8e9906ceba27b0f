package phalatest

import (
	"fmt"
	"strconv"
	"strings"
)

// What a node has for all its CVMs.
const (
	nodeVCPU   = 4096
	nodeMemory = 16 << 20 // in MB
	nodeSlots  = 4096
)

func (s *Server) availableNode(n *node) object {
	used := n.used
	images := []object{}
	for _, i := range s.images {
		images = append(images, object{
			"name": i.name, "is_dev": i.dev, "version": i.version, "os_image_hash": i.hash(), "slug": i.slug, "release": i.versionText(),
			"published_at": "2026-01-21T08:30:05Z", "requires_gpu": false, "supports_cpu": true, "supports_gpu": false, "enabled": true,
		})
	}
	return object{
		"teepod_id": n.teepod, "node_id": n.id, "name": n.name, "listed": true, "resource_score": 1.0,
		"remaining_vcpu": nodeVCPU - used.VCPUs, "remaining_memory": nodeMemory - used.MemoryMB, "remaining_cvm_slots": nodeSlots - used.CVMs,
		"images": images, "support_onchain_kms": s.chain != nil, "fmspc": fmspc, "device_id": n.device.String(), "region_identifier": n.region,
		"default_kms": s.services[0].slug, "kms_list": s.kmsSlugs(),
		"device_ids": []object{{"device_id": n.device.String(), "algorithm_version": "1", "enabled": true}},
	}
}

func (s *Server) available(t *Tenant) object {
	all := []object{}
	for _, n := range s.nodes {
		all = append(all, s.availableNode(n))
	}
	limit := func(n int) any {
		if n == 0 {
			return nil
		}
		return n
	}
	return object{
		"tier": workspaceTier, "nodes": all,
		"capacity": object{
			"max_instances": limit(t.quotas.CVMs), "max_vcpu": limit(t.quotas.VCPUs), "max_memory": limit(t.quotas.MemoryMB),
			"max_disk": limit(t.quotas.DiskGB),
		},
	}
}

func (s *Server) kmsSlugs() []string {
	slugs := []string{}
	for _, k := range s.services {
		slugs = append(slugs, k.slug)
	}
	return slugs
}

func listAvailable(s *Server, c *call) answer {
	available := s.available(c.tenant)
	all := []object{}
	for _, k := range s.services {
		all = append(all, k.describe())
	}
	available["kms_list"] = all
	return ok(available)
}

// listCreateResources has ids that are numbers in older versions.
func listCreateResources(s *Server, c *call) answer {
	// id is the given one, or in older versions a number.
	id := func(id string, number int) any {
		if c.hashedIDs() {
			return id
		}
		return number
	}
	resources := s.available(c.tenant)
	names, relations, types, services, gateways := []string{}, []object{}, []object{}, []object{}, []object{}
	for _, i := range s.images {
		names = append(names, i.name)
	}
	for i, k := range s.services {
		kind := strings.ToUpper(k.kind)
		kmsID, contractID := id(k.id, i+1), id(k.contractID, i+1)
		for _, n := range s.nodes {
			relations = append(relations, object{
				"teepod_id": n.teepod, "kms_id": kmsID, "kms_type": kind, "kms_contract_id": contractID, "kms_contract_address": k.address(),
				"supported_os_images": names,
			})
		}
		services = append(services, object{
			"id": kmsID, "slug": k.slug, "url": k.url, "version": "0.5.5", "kms_type": kind, "chain_id": k.chainID(),
			"kms_contract_id": contractID, "kms_contract_address": k.address(), "gateway_app_id": nil, "supported_os_images": names,
		})
		gateways = append(gateways, object{
			"id": id(fmt.Sprintf("gn_test%d", i+1), i+1), "teepod_id": nil, "kms_contract_id": contractID, "rpc_url": nil,
			"domain_suffix": gatewayDomain, "enabled": true,
		})
	}
	for i, t := range s.types {
		types = append(types, object{
			"id": t.id, "name": t.name, "vcpu": t.vcpu, "memory_mb": t.memory, "default_disk_size_gb": t.disk,
			"requires_gpu": t.gpus > 0, "requires_gpu_count": t.gpus, "family": t.family, "display_order": i + 1,
		})
	}
	resources["kms_nodes"], resources["gateway_nodes"] = services, gateways
	resources["node_kms_relations"], resources["instance_types"] = relations, types
	resources["gpu_availability"] = object{"has_reserved_gpus": false, "reserved_gpu_count": 0, "has_public_gpus": false, "public_gpu_count": 0}
	return ok(resources)
}

func listImages(s *Server, c *call) answer {
	var chosen []*image
	for _, i := range s.images {
		if dev := c.URL.Query().Get("is_dev"); dev == "" || dev == strconv.FormatBool(i.dev) {
			chosen = append(chosen, i)
		}
	}
	return page(c, all(chosen), pageNames{"items", "pages", 20}, func(i *image) object {
		return object{
			"name": i.name, "slug": i.slug, "version": i.versionText(), "os_image_hash": i.hash(), "is_dev": i.dev, "requires_gpu": false,
		}
	})
}
