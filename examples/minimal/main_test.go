package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The block of the README is the program, to the letter.
func TestREADME_HasThisProgram(t *testing.T) {
	program, err := os.ReadFile("deploy.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, body, found := strings.Cut(string(program), "// deployWeb is the program of the README.\n")
	require.True(t, found)
	assert.Contains(t, string(readme), "```go\n"+body+"```\n")
}

func TestProgram_Runs(t *testing.T) {
	dir, err := os.Getwd()
	require.NoError(t, err)
	t.Chdir(dir) // the program changes it
	require.NoError(t, run(t.Context()))
}
