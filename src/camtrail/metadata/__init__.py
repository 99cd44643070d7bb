"""Bytes of files <-> values of core."""
