"""Benchmarks: camtrail beside its peers, on photos that anyone can make again byte for byte."""
