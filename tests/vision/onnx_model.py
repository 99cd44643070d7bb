"""A model of two nodes, written by hand: the mean of each colour."""

from __future__ import annotations


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _tensor(name: str, *dims: int | str) -> bytes:
    shape = b"".join(_bytes(1, _number(1, d) if isinstance(d, int) else _bytes(2, d)) for d in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, shape)))


def _node(kind: str, given: str, made: str) -> bytes:
    return _bytes(1, _bytes(1, given) + _bytes(2, made) + _bytes(4, kind))


def mean_model(side: int = 32, batch: int | str = "n") -> bytes:
    """The bytes of a model (n, 3, side, side) -> (n, 3). ONNX's `onnx.proto3`, operators of version 13."""
    graph = (
        _node("GlobalAveragePool", "x", "p")
        + _node("Flatten", "p", "y")
        + _bytes(2, "mean")
        + _bytes(11, _tensor("x", batch, 3, side, side))
        + _bytes(12, _tensor("y", batch, 3))
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))
