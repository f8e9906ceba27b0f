// Package phala is the root of the Go SDK for Phala Cloud.
//
// It contains no code, only the commands that generate some. A program imports the packages below:
//
//   - client: the API, typed, with retries, errors, paging and watching
//   - openapi: the models and the raw client, generated from openapi/openapi.json
//   - compose: app-compose documents, their canonical bytes and their hash
//   - kms: app ids, the key service's public keys, encrypted environments
//   - kms/onchain: the contracts of a KMS on Ethereum or Base
//   - attest: what the hardware proves of a running CVM
//   - verify: what runs already, verified once or on an interval; an HTTP client for one app alone
//   - deploy: from a docker-compose file to a running, verified CVM in one call; updates, replicas, approvals
//   - webhook: the cloud's webhooks, verified and decoded
//   - phalatest: an in-process Phala Cloud to test against
//   - phalatest/quotetest: an authority that signs quotes for tests
//   - phalatest/chaintest: a simulated chain with the contracts of a KMS
package phala

//go:generate go -C tools tool oapi-codegen -config ../openapi/oapi-models.yaml ../openapi/openapi.json
//go:generate go -C tools tool oapi-codegen -config ../openapi/oapi-client.yaml ../openapi/openapi.json
//go:generate go -C tools run ./servicegen -root ..
//go:generate go -C tools run ./contractgen -root ..
