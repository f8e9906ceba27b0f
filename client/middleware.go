package client

// chain puts the user's middlewares around the rest of the pipeline, the first one outermost.
func chain(middleware []func(RoundTrip) RoundTrip, inner RoundTrip) RoundTrip {
	for i := len(middleware) - 1; i >= 0; i-- {
		inner = middleware[i](inner)
	}
	return inner
}
