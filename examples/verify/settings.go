package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/verify"
)

// settings are the values of the flags.
type settings struct {
	cvm, app, bundle, quote, log, text        string
	hash, images, document, dockerCompose     string
	kmsCA, nonce, statuses, collateral, waive string
	now, save, format, artifact               string
	grace, wait                               time.Duration
	expectsNothing                            bool
}

func parse(args []string, problems io.Writer) (*settings, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	var s settings
	flags.StringVar(&s.cvm, "cvm", "", "verify the CVM of this `name` or id")
	flags.StringVar(&s.app, "app", "", "verify every instance of the app of this `id`")
	flags.StringVar(&s.bundle, "bundle", "", "verify the bundles in this `file`, offline")
	flags.StringVar(&s.quote, "quote", "", "verify the quote in this `file`")
	flags.StringVar(&s.log, "log", "", "`file` with the event log of -quote")
	flags.StringVar(&s.text, "compose", "", "`file` with the exact app-compose text of -quote")

	flags.StringVar(&s.hash, "hash", "", "expected compose `hash`es, 64 hexadecimal digits, separated by commas")
	flags.StringVar(&s.document, "document", "", "`file` with the expected app-compose document (JSON)")
	flags.StringVar(&s.dockerCompose, "docker-compose", "", "`file` that is expected with the defaults of the platform, instead of -document")
	flags.StringVar(&s.images, "image", "", "`hashes` of the operating system images that may run, separated by commas")
	flags.StringVar(&s.kmsCA, "kms-ca", "", "expected root CA of the KMS, DER public `key` in hexadecimal")
	flags.StringVar(&s.nonce, "nonce", "", "expected report data: the `text` that the guest signed")
	flags.StringVar(&s.statuses, "tcb", "", "accepted TCB `statuses`, separated by commas; UpToDate alone by default")
	flags.DurationVar(&s.grace, "grace", 0, "how long a platform may be out of date, such as 360h")
	flags.StringVar(&s.waive, "waive", "", "`checks` that may fail, separated by commas")

	flags.StringVar(&s.collateral, "collateral", "", "`file` with collateral (JSON), instead of fetching it")
	flags.StringVar(&s.now, "now", "", "verify as of this `time` (RFC 3339); the default for a bundle is its own")
	flags.DurationVar(&s.wait, "wait", 0, "maximum `time` to wait for evidence that does not exist yet")
	flags.StringVar(&s.save, "save", "", "write the evidence with everything that its verification needs to this `file`")
	flags.StringVar(&s.format, "format", "text", "`format` of the report: "+strings.Join(formats(), ", "))
	flags.StringVar(&s.artifact, "artifact", "docker-compose.yml", "`path` in the repository to which SARIF attaches findings")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%w: argument %q, only flags are known, see -help", errUsage, flags.Arg(0))
	}
	if !slices.Contains(formats(), s.format) {
		return nil, fmt.Errorf("%w: -format %q, must be one of %s", errUsage, s.format, strings.Join(formats(), ", "))
	}
	named := 0
	for _, name := range []string{s.cvm, s.app, s.quote, s.bundle} {
		if name != "" {
			named++
		}
	}
	if named > 1 {
		return nil, fmt.Errorf("%w: -cvm, -app, -quote and -bundle exclude one another", errUsage)
	}
	s.expectsNothing = true
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "hash", "image", "kms-ca", "nonce", "tcb", "grace", "waive", "document", "docker-compose":
			s.expectsNothing = false
		}
	})
	return &s, nil
}

// policy returns the expectations of the flags.
func (s *settings) policy() (attest.Policy, error) {
	p := attest.Policy{OutOfDateGrace: s.grace}
	for _, text := range split(s.hash) {
		hash, err := compose.ParseHash(text)
		if err != nil {
			return p, err
		}
		p.ComposeHashes = append(p.ComposeHashes, hash)
	}
	if s.images != "" {
		var err error
		if p.Images, err = osimage.ByHash(split(s.images)...); err != nil {
			return p, err
		}
	}
	if s.kmsCA != "" {
		key, err := attest.ParseKMSRootCA(s.kmsCA)
		if err != nil {
			return p, err
		}
		p.KMSRootCAs = [][]byte{key}
	}
	if s.nonce != "" {
		data, err := attest.RawReportData([]byte(s.nonce))
		if err != nil {
			return p, err
		}
		p.ReportData = &data
	}
	for _, status := range split(s.statuses) {
		p.TCBStatuses = append(p.TCBStatuses, attest.TCBStatus(status))
	}
	for _, name := range split(s.waive) {
		p.Waive = append(p.Waive, attest.CheckName(name))
	}
	if s.now != "" {
		now, err := time.Parse(time.RFC3339, s.now)
		if err != nil {
			return p, fmt.Errorf("-now: %w", err)
		}
		p.Now = func() time.Time { return now }
	}
	if s.collateral != "" {
		data, err := os.ReadFile(s.collateral)
		if err != nil {
			return p, err
		}
		collateral, err := attest.ParseCollateral(data)
		if err != nil {
			return p, err
		}
		p.Collateral = attest.OfflineCollateral(collateral)
	}
	return p, p.Validate()
}

// options are those of package verify.
func (s *settings) options() ([]verify.Option, error) {
	var all []verify.Option
	if s.wait > 0 {
		all = append(all, verify.WithWait(s.wait))
	}
	document, err := s.readDocument()
	if document != nil {
		all = append(all, verify.WithDocument(document))
	}
	return all, err
}

func (s *settings) readDocument() ([]byte, error) {
	switch {
	case s.document != "" && s.dockerCompose != "":
		return nil, fmt.Errorf("-document and -docker-compose exclude one another")
	case s.document != "":
		return os.ReadFile(s.document)
	case s.dockerCompose != "":
		text, err := os.ReadFile(s.dockerCompose)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]string{"docker_compose_file": string(text)})
	}
	return nil, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}
