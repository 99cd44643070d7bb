"""Where numeric addresses lie: on this machine, in a network of somebody's own, or in the public one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["is_here", "is_loopback", "is_near", "is_public"]


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's. Raises ValueError for what is no address."""
    return _known(address).is_loopback


def is_public(address: str) -> bool:
    """Whether an address is one of the public network, to one machine. Raises ValueError for what is no address.

    Notes
    -----
    The special-purpose registries of IANA (RFC 6890), as the standard library has them.
    """
    known = _known(address)
    return known.is_global and not known.is_multicast


def is_here(host: str) -> bool:
    """Whether a host is named by an address of this machine, or `localhost`."""
    return host == "localhost" or (is_near(host) and is_loopback(host))


def is_near(host: str) -> bool:
    """Whether a host is named by an address that is not public, or `localhost`; of other names nobody knows."""
    try:
        return host == "localhost" or not is_public(host)
    except ValueError:
        return False


def _known(text: str) -> IPv4Address | IPv6Address:
    """An address; that of IPv4 where IPv6 only carries one."""
    address = ip_address(text)
    carried = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return carried or address
