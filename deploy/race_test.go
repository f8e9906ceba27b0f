//go:build race

package deploy_test

// underRace reports that the race detector makes everything some ten times slower.
const underRace = true

// pairs is how many pairs of flows run at once for one app.
const pairs = 60
