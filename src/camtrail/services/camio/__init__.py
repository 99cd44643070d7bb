"""Camio: its cloud, the Box that takes videos, and the storage that takes the lists of them."""
