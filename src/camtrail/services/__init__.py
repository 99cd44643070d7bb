"""One folder a service: typed calls, wire types, and a sandbox that behaves as its documentation says."""
