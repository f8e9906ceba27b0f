package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/phala-go/phala/webhook"
)

// keep is how long a handled event is remembered: the last attempt of a delivery comes 71 minutes after the first.
const keep = 24 * time.Hour

// fileStore remembers in a file which events were handled, a line for each, so that a restart repeats none. It is for one
// process; several share a database.
type fileStore struct {
	mu      sync.Mutex
	file    *os.File
	handled map[string]time.Time
	claimed map[string]bool
}

// openStore reads the file, and writes it anew without what is too old.
func openStore(path string) (*fileStore, error) {
	s := &fileStore{handled: map[string]time.Time{}, claimed: map[string]bool{}}
	if old, err := os.Open(path); err == nil {
		err = s.read(old)
		old.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	fresh, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = fresh
	for id, at := range s.handled {
		if err := s.write(id, at); err != nil {
			fresh.Close()
			return nil, err
		}
	}
	return s, os.Rename(path+".new", path)
}

func (s *fileStore) read(file *os.File) error {
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var seconds int64
		var quoted string
		if n, _ := fmt.Sscanf(lines.Text(), "%d %q", &seconds, &quoted); n != 2 {
			continue // a line that was cut off as the process died
		}
		if at := time.Unix(seconds, 0); time.Since(at) < keep {
			s.handled[quoted] = at
		}
	}
	return lines.Err()
}

func (s *fileStore) write(id string, at time.Time) error {
	_, err := fmt.Fprintf(s.file, "%d %s\n", at.Unix(), strconv.Quote(id))
	return err
}

// Claim takes an event for the caller.
func (s *fileStore) Claim(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, handled := s.handled[id]; {
	case handled:
		return webhook.ErrHandled
	case s.claimed[id]:
		return webhook.ErrBeingHandled
	}
	s.claimed[id] = true
	return nil
}

// Finish remembers it on the disk.
func (s *fileStore) Finish(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err := s.write(id, now); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.handled[id] = now
	delete(s.claimed, id)
	return nil
}

// Release makes the event available to the next attempt.
func (s *fileStore) Release(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, id)
	return nil
}

func (s *fileStore) Close() { _ = s.file.Close() }
