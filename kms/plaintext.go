package kms

import "github.com/phala-go/phala/internal/jsontext"

// envSize estimates the size of the plaintext, so that the buffer need not grow.
func envSize(env []EnvVar) int {
	size := len(`{"env":[]}`)
	for _, v := range env {
		size += len(`{"key":"","value":""},`) + len(v.Key) + len(v.Value) + len(v.Value)/16
	}
	return size
}

// appendEnv writes the plaintext {"env":[{"key":…,"value":…},…]}: compact, with the bytes of the other implementations.
func appendEnv(out []byte, env []EnvVar) []byte {
	out = append(out, `{"env":[`...)
	for i, v := range env {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"key":`...)
		out = jsontext.AppendString(out, v.Key)
		out = append(out, `,"value":`...)
		out = jsontext.AppendString(out, v.Value)
		out = append(out, '}')
	}
	return append(out, `]}`...)
}
