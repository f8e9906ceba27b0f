//go:build !race

package deploy_test

const underRace = false

// pairs is how many pairs of flows run at once for one app.
const pairs = 400
