"""iNaturalist, API v1: observations of a user and their photos; calls, wire types, sandbox."""
