package kms

// envSize estimates the size of the plaintext, so that the buffer need not grow.
func envSize(env []EnvVar) int {
	size := len(`{"env":[]}`)
	for _, v := range env {
		size += len(`{"key":"","value":""},`) + len(v.Key) + len(v.Value) + len(v.Value)/16
	}
	return size
}

// appendEnv writes the plaintext {"env":[{"key":…,"value":…},…]}: compact, raw UTF-8, the shortest escapes.
// encoding/json would escape <, > and & and some line separators. The guest accepts these, too, but the bytes would
// differ from those of the other implementations.
func appendEnv(out []byte, env []EnvVar) []byte {
	out = append(out, `{"env":[`...)
	for i, v := range env {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"key":`...)
		out = appendString(out, v.Key)
		out = append(out, `,"value":`...)
		out = appendString(out, v.Value)
		out = append(out, '}')
	}
	return append(out, `]}`...)
}

func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\f':
			out = append(out, '\\', 'f')
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(out, s[from:]...), '"')
}
