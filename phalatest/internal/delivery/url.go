package delivery

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// CheckURL checks the URL of a webhook by the rules of the cloud, at its creation and at each attempt: https, and a
// host that is public as far as its name shows.
func (s *Sender) CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("the URL does not parse")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	switch {
	case host == "":
		return errors.New("the URL has no host")
	case s.Local && (u.Scheme == "http" || u.Scheme == "https"):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("the URL begins with %q, want https", u.Scheme)
	}
	for _, name := range []string{"localhost", "local", "internal"} {
		if host == name || strings.HasSuffix(host, "."+name) {
			return fmt.Errorf("the host %s is not public", host)
		}
	}
	if address, err := netip.ParseAddr(host); err == nil && !public(address) {
		return fmt.Errorf("the address %s is not public", host)
	}
	return nil
}

// public reports whether an address is public: neither loopback, private, link-local (where clouds have their
// metadata) nor shared (RFC 6598).
func public(a netip.Addr) bool {
	a = a.Unmap()
	shared := netip.MustParsePrefix("100.64.0.0/10")
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a.WithZone(""))
}

// publicTransport connects to public addresses only, because a public name can resolve to a private one.
func (s *Sender) publicTransport() *http.Transport {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if s.Local {
			return nil
		}
		to, err := netip.ParseAddrPort(address)
		if err != nil || !public(to.Addr()) {
			return fmt.Errorf("the address %s is not public", address)
		}
		return nil
	}}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
}
