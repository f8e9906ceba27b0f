package compose

// Canonicalize returns the canonical bytes of an app-compose document, a JSON object: members sorted by their
// names in UTF-16 order, no white space, strings with the shortest escapes, numbers as ECMAScript writes
// them. The order of lists, null and unknown members stay.
//
// What cannot be written the same way by everyone is refused with a [*SyntaxError] that names the place:
// duplicate names, the names "__proto__" and "constructor" and those that look like list indices (JavaScript
// treats them apart), lone surrogates, invalid UTF-8, integers beyond 2^53 that
// a double does not hold exactly, nesting deeper than 100, and anything after the object.
func Canonicalize(doc []byte) ([]byte, error) {
	return canonical(doc, false)
}

// Normalize returns the bytes of [Canonicalize] without the members that the runner ignores: docker_compose_file if
// the runner is bash, bash_script if it is docker-compose or nerdctl-compose, and a pre_launch_script that is null,
// false, 0 or "".
func Normalize(doc []byte) ([]byte, error) {
	return canonical(doc, true)
}

func canonical(doc []byte, normalize bool) ([]byte, error) {
	w := writer{in: doc, out: make([]byte, 0, len(doc)+len(doc)/64+16)}
	if err := w.document(normalize); err != nil {
		return nil, err
	}
	return w.out, nil
}
