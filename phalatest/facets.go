package phalatest

import "github.com/phala-go/phala/openapi"

// facets counts the CVMs of a workspace by the values that lists can be filtered by, so that asking which there are
// does not walk over all of them.
type facets struct {
	statuses, images, kinds, regions, nodes, slugs, kms counts
}

// counts is how many have a value.
type counts map[string]int

func newFacets() facets {
	return facets{counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}}
}

func (c counts) add(value string, by int) {
	if c[value] += by; c[value] == 0 {
		delete(c, value)
	}
}

func (f facets) add(vm *cvm, by int) {
	f.statuses.add(string(vm.status), by)
	f.images.add(vm.image.name, by)
	f.kinds.add(vm.size.kind, by)
	f.regions.add(vm.node.region, by)
	f.nodes.add(vm.node.name, by)
	f.slugs.add(vm.app.kms.slug, by)
	f.kms.add(vm.app.kms.kind, by)
}

// turn counts a CVM that changes from one status to another.
func (f facets) turn(from, to openapi.CVMStatus) {
	f.statuses.add(string(from), -1)
	f.statuses.add(string(to), 1)
}

func filterOptions(_ *Server, c *call) answer {
	f := c.tenant.facets
	return ok(openapi.AppFilterOptions{
		Statuses: sortedKeys(f.statuses), ImageVersions: sortedKeys(f.images), InstanceTypes: sortedKeys(f.kinds),
		KMSSlugs: sortedKeys(f.slugs), KMSTypes: sortedKeys(f.kms), Regions: sortedKeys(f.regions), Nodes: sortedKeys(f.nodes),
	})
}
