package phalatest

import (
	"fmt"
	"net/http"

	"github.com/phala-go/phala/openapi"
)

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
