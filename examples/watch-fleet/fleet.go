package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
)

// batch is how many states one request asks for.
const batch = 100

// relist is how often new and deleted CVMs are looked for.
const relist = 30 * time.Second

// row is one CVM of the table.
type row struct {
	id, name string
	status   openapi.CVMStatus
	step     string // of the boot, as the guest reports it
	busy     bool
}

// stages is the length of a progress bar.
const stages = 4

// stage is how far a CVM is on its way to running.
func (r row) stage() int64 {
	switch r.status {
	case openapi.CVMCreated, openapi.CVMCreating, openapi.CVMProvisioning:
		return 1
	case openapi.CVMStarting, openapi.CVMRestarting, openapi.CVMUpdating:
		return 2
	case openapi.CVMRunning:
		if r.busy {
			return 3
		}
		return stages
	}
	return 0
}

// settled reports whether nothing is expected to happen by itself.
func (r row) settled() bool {
	switch r.status {
	case openapi.CVMRunning, openapi.CVMStopped, openapi.CVMExited, openapi.CVMError, openapi.CVMFailed:
		return !r.busy
	}
	return false
}

func (r row) failed() bool { return r.status == openapi.CVMError || r.status == openapi.CVMFailed }

func (r row) text() string {
	switch {
	case r.step != "" && r.step != "done" && r.status != openapi.CVMRunning:
		return fmt.Sprintf("%s, %s", r.status, r.step)
	case r.busy && r.status == openapi.CVMRunning:
		return "running, busy"
	}
	return string(r.status)
}

// display shows the rows.
type display interface {
	show(rows []row)
	close()
}

// watch looks at the fleet again and again, until ctx ends or, if it is told to, everything has settled.
func watch(ctx context.Context, c *client.Client, interval time.Duration, untilSettled bool, shown display) error {
	var fleet []row
	var listed time.Time
	for {
		if time.Since(listed) > relist {
			var err error
			if fleet, err = list(ctx, c); err != nil {
				return err
			}
			listed = time.Now()
		}
		if err := look(ctx, c, fleet); err != nil {
			return err
		}
		shown.show(fleet)
		if untilSettled && !slices.ContainsFunc(fleet, func(r row) bool { return !r.settled() }) {
			return failures(fleet)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}

// list returns all CVMs of the workspace that have a VM, by name.
func list(ctx context.Context, c *client.Client) ([]row, error) {
	var fleet []row
	for cvm, err := range c.CVMs.All(ctx, &openapi.CVMsListParams{PageSize: openapi.Ptr(batch)}) {
		if err != nil {
			return nil, err
		}
		if cvm.VMUUID != "" {
			fleet = append(fleet, row{id: cvm.VMUUID, name: cvm.Name, status: cvm.Status})
		}
	}
	slices.SortFunc(fleet, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return fleet, nil
}

// look brings the rows up to date, a hundred in one request.
func look(ctx context.Context, c *client.Client, fleet []row) error {
	for part := range slices.Chunk(fleet, batch) {
		ids := make(openapi.List[string], len(part))
		for i, r := range part {
			ids[i] = r.id
		}
		states, err := c.CVMs.GetStatuses(ctx, openapi.GetStatusesRequest{VMUUIDs: ids})
		if err != nil {
			return err
		}
		for i := range part {
			state, there := states[part[i].id]
			if !there {
				part[i].status = openapi.CVMUnknown
				continue
			}
			part[i].status, part[i].step = state.Status, state.BootProgress
			part[i].busy = state.InProgress != nil && *state.InProgress
		}
	}
	return nil
}

func failures(fleet []row) error {
	var names []string
	for _, r := range fleet {
		if r.failed() {
			names = append(names, r.name)
		}
	}
	if names != nil {
		return fmt.Errorf("failed: %s", strings.Join(names, ", "))
	}
	return nil
}
