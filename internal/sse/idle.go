package sse

import (
	"io"
	"time"
)

// idleReader watches how long single reads take.
type idleReader struct {
	r       io.Reader
	timeout time.Duration
	timer   *time.Timer
}

// IdleReader reads from r and calls broken once a read has waited longer than timeout, from another
// goroutine; broken is to make the read fail, such as by closing the connection. Comments of a stream count
// as signs of life, and the time between reads, which is the caller's, does not count.
func IdleReader(r io.Reader, timeout time.Duration, broken func()) io.Reader {
	timer := time.AfterFunc(timeout, broken)
	timer.Stop()
	return &idleReader{r: r, timeout: timeout, timer: timer}
}

func (i *idleReader) Read(p []byte) (int, error) {
	i.timer.Reset(i.timeout)
	defer i.timer.Stop()
	return i.r.Read(p)
}
