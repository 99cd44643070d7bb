"""Mapillary, protocol of 2024 (API v4): calls, wire types, sandbox."""
