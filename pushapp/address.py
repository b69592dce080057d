"""Where a request comes from: the address that counts, behind proxies too.

What belongs here: which proxies are believed, and what they say. What does not: what is done with
an address (``limits``, access logs).

``X-Forwarded-For`` grows to the right: each proxy appends whom it was asked by, and what stands to
the left came with the request, from anyone. So it is read from the right, past our own proxies.
``Forwarded`` (RFC 7239) is not read: a proxy that sets one of the two passes the other on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

from .errors import SettingsError

_MOST_HOPS = 16  # a sanity bound; also of the entries that are looked at
_PREFIX = 64  # bits of an IPv6 address that one customer has at least (RFC 6177)
_PORT = re.compile(r"\[(.+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_PROXY_FIX = "werkzeug.proxy_fix.orig"  # the environ's key where a host app's ProxyFix has been

Address = IPv4Address | IPv6Address


class Proxies(NamedTuple):
    """The proxies in front that are believed; either so many, whoever they are, or these."""

    hops: int = 0
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    said: bool = False  # by the operator: else a private address may be a proxy's

    @classmethod
    def parse(cls, text: str) -> Proxies:
        """Return what PUSH_TRUSTED_PROXIES says.

        Raises:
            SettingsError: it does not fit.
        """
        expected = "how many proxies are in front (1), or their addresses (127.0.0.1, 10.0.0.0/8)"
        if not text:
            return cls()
        if re.fullmatch("[0-9]{1,2}", text):
            if int(text) > _MOST_HOPS:
                raise SettingsError("PUSH_TRUSTED_PROXIES", text, expected)
            return cls(hops=int(text), said=True)
        try:
            networks = tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            raise SettingsError("PUSH_TRUSTED_PROXIES", text, expected) from None
        return cls(networks=networks, said=True)

    def trusts(self, address: Address) -> bool:
        """Tell whether the proxy at ``address`` is one of them; always, where they are counted."""
        if not self.networks:
            return self.hops > 0
        return any(address in network for network in self.networks)

    def trusts_peer(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether the forwarded headers of a request come from one of them."""
        if _PROXY_FIX in environ:
            return False  # it has put what they say where it belongs
        if self.hops > 0:
            return True
        peer = _parse(environ.get("REMOTE_ADDR", ""))
        # None: a Unix socket, to which nobody but a proxy on this machine gets
        return bool(self.networks) if peer is None else self.trusts(peer)


def client_address(environ: Mapping[str, Any], proxies: Proxies) -> str | None:
    """Return the address that a request comes from; None: there is none (a Unix socket)."""
    found = _client(environ, proxies)
    return None if found is None else str(found)


def counted_address(environ: Mapping[str, Any], proxies: Proxies) -> str | None:
    """Return what a request counts for: its address, of IPv6 the /64 that one customer has.

    None: it cannot be told whose it is. So where nobody has said which proxies there are, and it
    comes from a private address: that may well be a proxy, with everybody behind it.
    """
    found = _client(environ, proxies)
    if found is None:
        return None
    if not found.is_global and not proxies.said and _PROXY_FIX not in environ:
        return None
    return _key(found)


def counted_peer(host: str, proxies: Proxies) -> str | None:
    """Return what a connection counts for before it has said anything; as ``counted_address``, but
    None for a proxy of ours, too."""
    peer = _parse(host)
    if peer is None or proxies.trusts(peer) or not (peer.is_global or proxies.said):
        return None
    return _key(peer)


def _client(environ: Mapping[str, Any], proxies: Proxies) -> Address | None:
    address = _parse(environ.get("REMOTE_ADDR", ""))
    if not proxies.trusts_peer(environ):
        return address
    header = environ.get("HTTP_X_FORWARDED_FOR", "")  # repeated ones were joined, in their order
    if not header:
        return address
    forwarded = header.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
    if proxies.hops:
        # the first of our proxies was asked by the one that stands so many from the right
        return _parse(forwarded[-proxies.hops]) if len(forwarded) >= proxies.hops else address
    for text in reversed(forwarded):
        before = _parse(text)
        if before is None:
            return address  # garbage, written by whoever is known last
        address = before
        if not proxies.trusts(address):
            return address
    return address


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    """Return the address in ``text``, which may have a port; None: it holds none."""
    text = text.strip(" \t")
    if match := _PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text.partition("%")[0])  # a zone says nothing on another machine
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


@lru_cache(maxsize=4096)
def _key(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, _PREFIX), strict=False))
