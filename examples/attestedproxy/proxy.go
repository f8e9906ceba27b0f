package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
)

// proxy forwards requests to an app.
type proxy struct {
	to      *url.URL
	forward *httputil.ReverseProxy
}

func newProxy(to *url.URL, transport http.RoundTripper) (*proxy, error) {
	if to.Scheme != "https" || to.Host == "" || to.User != nil || to.RawQuery != "" {
		return nil, fmt.Errorf("-to %q: must be https://host[:port]", to.Redacted())
	}
	p := &proxy{to: to}
	p.forward = &httputil.ReverseProxy{
		Transport:      transport,
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: p.keepRedirects,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "attestedproxy: "+err.Error(), http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0), // the client is told
	}
	return p, nil
}

// ServeHTTP refuses what a web page in a browser of this machine could send: requests of other origins, and those for
// another host name that resolves to this address (DNS rebinding).
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isLoopback(r.Host) {
		http.Error(w, "attestedproxy: the Host header names another host", http.StatusForbidden)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		http.Error(w, "attestedproxy: a request of another origin", http.StatusForbidden)
		return
	}
	p.forward.ServeHTTP(w, r)
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// keepRedirects turns redirects within the app into relative ones, and refuses those that leave it: the client would
// follow them past this proxy, to a place that nobody has verified.
func (p *proxy) keepRedirects(resp *http.Response) error {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil
	}
	target, err := p.to.Parse(location)
	if err != nil {
		return fmt.Errorf("the app redirects to %.200q: %w", location, err)
	}
	if target.Scheme != p.to.Scheme || !strings.EqualFold(target.Host, p.to.Host) || target.User != nil {
		return errors.New("the app redirects to another place, which is not followed")
	}
	target.Scheme, target.Host = "", ""
	if strings.HasPrefix(target.Path, "//") {
		return errors.New("the app redirects to another place, which is not followed")
	}
	resp.Header.Set("Location", target.String())
	return nil
}
