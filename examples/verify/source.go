package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/verify"
)

// verify verifies what the flags name. The result is nil if nothing could be read.
func (s *settings) verify(ctx context.Context, policy attest.Policy, options []verify.Option, problems io.Writer) (*verify.Result, error) {
	switch {
	case s.bundle != "":
		return s.verifyBundles(ctx, policy, options)
	case s.quote != "":
		evidence, err := attest.FromFiles(s.quote, s.log, s.text)
		if err != nil {
			return nil, err
		}
		if policy.Collateral == nil {
			policy.Collateral = attest.IntelPCS(nil)
		}
		return single(verify.Evidence(ctx, evidence, policy, options...))
	case s.cvm != "" || s.app != "":
		c, err := client.New()
		if err != nil {
			return nil, err
		}
		if s.cvm != "" {
			return single(verify.CVM(ctx, c, s.cvm, policy, options...))
		}
		app, err := kms.ParseAppID(s.app)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		return verify.App(ctx, c, app, policy, options...)
	}
	return verifyEmbedded(ctx, policy, options, problems)
}

// single makes a result of one instance.
func single(instance *verify.Instance, err error) (*verify.Result, error) {
	if instance == nil {
		return nil, err
	}
	result := &verify.Result{Time: time.Now(), Instances: []verify.Instance{*instance}}
	if b := instance.Bundle; b != nil {
		result.App = b.Policy.AppID
	}
	return result, err
}

// verifyBundles verifies what -save wrote. It fetches nothing.
func (s *settings) verifyBundles(ctx context.Context, policy attest.Policy, options []verify.Option) (*verify.Result, error) {
	data, err := os.ReadFile(s.bundle)
	if err != nil {
		return nil, err
	}
	bundles, err := attest.ParseBundles(data)
	if err != nil {
		return nil, err
	}
	result := &verify.Result{App: bundles[0].Policy.AppID, Time: bundles[0].Time, Instances: []verify.Instance{}}
	var errs []error
	for _, b := range bundles {
		expected := policy
		if s.expectsNothing {
			expected = b.Policy
			expected.Now, expected.Collateral = policy.Now, policy.Collateral
		}
		if expected.Now == nil {
			expected.Now = func() time.Time { return b.Time }
		}
		if expected.Collateral == nil && b.Collateral != nil {
			expected.Collateral = attest.OfflineCollateral(b.Collateral)
		}
		instance, err := verify.Evidence(ctx, b.Evidence, expected, options...)
		if instance == nil {
			return nil, err
		}
		result.Instances = append(result.Instances, *instance)
		errs = append(errs, err)
	}
	return result, errors.Join(errs...)
}

// verifyEmbedded deploys an app to an embedded cloud, whose hardware has a root of its own, and verifies that.
func verifyEmbedded(ctx context.Context, policy attest.Policy, options []verify.Option, problems io.Writer) (*verify.Result, error) {
	cloud, err := phalatest.Start()
	if err != nil {
		return nil, err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return nil, err
	}
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return nil, err
	}
	deployed, err := deploy.Run(ctx, c, deploy.Spec{Name: "verify", Compose: app, Image: "dstack-0.5.5"}, deploy.SkipVerification())
	if err != nil {
		return nil, err
	}
	known := cloud.AttestationPolicy()
	policy.AppID = deployed.ID
	policy.Roots, policy.Collateral, policy.Now = known.Roots, known.Collateral, known.Now
	policy.Measurements = known.Measurements
	if policy.ComposeHashes == nil {
		policy.ComposeHashes = []compose.Hash{deployed.ComposeHash}
	}
	if policy.KMSRootCAs == nil {
		policy.KMSRootCAs = known.KMSRootCAs
	}
	fmt.Fprintln(problems, "On an embedded Phala Cloud; see -help for CVMs and files.")
	return single(verify.CVM(ctx, c, deployed.CVMs[0].ID, policy, options...))
}
