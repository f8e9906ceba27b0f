package client

// TransportError is returned if no complete response of the API arrived: the connection failed or broke, the attempt
// timed out, or the context ended. It is not known whether the work was done. The error contains no URL, because a query
// may contain a token.
type TransportError struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// Err is the cause. If a context ended, errors.Is reports its error.
	Err error
}

func (e *TransportError) Error() string { return e.Operation + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *TransportError) Unwrap() error { return e.Err }
