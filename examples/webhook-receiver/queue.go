package main

import (
	"context"
	"errors"
	"sync"

	"github.com/phala-go/phala/webhook"
)

// waiting is how many events may wait.
const waiting = 100

// queue does the work of events in the background: the cloud waits ten seconds for an answer, and work may take longer.
// What waits in it is lost if the process dies, so an event that must not be lost belongs in a database, in the function
// that the receiver calls.
type queue struct {
	events chan webhook.Event
	done   sync.WaitGroup
}

func newQueue(work func(context.Context, webhook.Event)) *queue {
	q := &queue{events: make(chan webhook.Event, waiting)}
	q.done.Go(func() {
		for event := range q.events {
			work(context.Background(), event)
		}
	})
	return q
}

// add takes an event. If too many wait it returns an error, so that the cloud delivers it again later.
func (q *queue) add(_ context.Context, event webhook.Event) error {
	select {
	case q.events <- event:
		return nil
	default:
		return errors.New("too many events wait")
	}
}

// close waits for what was taken. No event may be added any more.
func (q *queue) close() {
	close(q.events)
	q.done.Wait()
}
