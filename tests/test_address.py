"""Where a request comes from: behind no proxy, one, several, and with every kind of lie."""

from __future__ import annotations

import pytest

from pushapp.address import Proxies, client_address, counted_address
from pushapp.errors import SettingsError
from pushapp.settings import load

EMBEDDED = {"SECRET_KEY": "x" * 32}


def seen(setting: str, peer: str, forwarded: str | None = None) -> str | None:
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_address(environ, Proxies.parse(setting))


@pytest.mark.parametrize("setting", ["", "0", "10.0.0.0/8"])
def test_who_is_no_proxy_of_ours_is_not_believed(setting: str) -> None:
    """Whatever the header says, the peer counts."""
    assert seen(setting, "203.0.113.7", "198.51.100.1") == "203.0.113.7"


@pytest.mark.parametrize(
    ("setting", "forwarded", "expected"),
    [
        pytest.param("1", "198.51.100.1", "198.51.100.1", id="one"),
        pytest.param("1", "6.6.6.6, 198.51.100.1", "198.51.100.1", id="what the client made up"),
        pytest.param("2", "6.6.6.6, 198.51.100.1, 10.0.0.9", "198.51.100.1", id="two"),
        pytest.param("10.0.0.0/8", "6.6.6.6,198.51.100.1", "198.51.100.1", id="a network"),
        pytest.param(
            "10.0.0.0/8,192.0.2.1", "6.6.6.6, 198.51.100.1 ,192.0.2.1,10.1.1.1", "198.51.100.1",
            id="a chain of networks",
        ),
        pytest.param("10.0.0.0/8", "10.0.0.7", "10.0.0.7", id="from within"),
        pytest.param("1", "198.51.100.1:4711", "198.51.100.1", id="with a port"),
        pytest.param("1", "[2001:db8::1]:443", "2001:db8::1", id="IPv6 with a port"),
        pytest.param("1", "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("1", "::ffff:198.51.100.1", "198.51.100.1", id="IPv4 in IPv6"),
        pytest.param("1", "fe80::1%eth0", "fe80::1", id="with a zone"),
        pytest.param("10.0.0.0/8", "198.51.100.1, unknown", "10.0.0.2", id="garbage is no address"),
        pytest.param("10.0.0.0/8", "6.6.6.6, x, 10.0.0.9", "10.0.0.9", id="garbage ends the chain"),
        pytest.param("1", "", "10.0.0.2", id="an empty header"),
        pytest.param("2", "198.51.100.1", "10.0.0.2", id="fewer than there are proxies"),
        pytest.param("1", "unknown", None, id="a proxy that does not say"),
        pytest.param("10.0.0.0/8", "1.1.1.1," + "10.0.0.1," * 900 + "10.0.0.3", "10.0.0.1",
                     id="a very long chain"),
    ],
)  # fmt: skip
def test_a_chain_is_read_from_the_right(setting: str, forwarded: str, expected: str | None) -> None:
    """The proxy that asks is 10.0.0.2; what stands further left than our own proxies is a claim."""
    assert seen(setting, "10.0.0.2", forwarded) == expected


def test_a_proxy_on_a_unix_socket_is_one_of_this_machine() -> None:
    """The peer has no address there, and nobody else gets to the socket."""
    assert seen("127.0.0.1", "", "198.51.100.1") == "198.51.100.1"
    assert seen("1", "", "198.51.100.1") == "198.51.100.1"
    assert seen("", "", "198.51.100.1") is None


def test_an_ipv6_address_counts_for_its_64() -> None:
    """One customer has 2**64 of them."""
    proxies = Proxies.parse("0")
    one, other, far = (
        counted_address({"REMOTE_ADDR": text}, proxies)
        for text in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1")
    )
    assert one == other == "2001:db8:1:2::/64"
    assert far != one


def test_a_private_peer_is_counted_only_where_it_is_said_to_be_no_proxy() -> None:
    """Behind a proxy that nobody named, everybody would count as one."""
    peer = {"REMOTE_ADDR": "10.0.0.2"}
    assert counted_address(peer, Proxies.parse("")) is None
    assert counted_address(peer, Proxies.parse("0")) == "10.0.0.2"
    assert counted_address({"REMOTE_ADDR": "8.8.8.8"}, Proxies.parse("")) == "8.8.8.8"


def test_where_a_hosts_proxyfix_has_been_its_word_counts() -> None:
    """It has taken the client's address out of the header already; the header is not read again."""
    environ = {
        "REMOTE_ADDR": "10.9.9.9",
        "HTTP_X_FORWARDED_FOR": "6.6.6.6",
        "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "10.0.0.2"},
    }
    for setting in ("", "1", "10.0.0.0/8"):
        proxies = Proxies.parse(setting)
        assert client_address(environ, proxies) == counted_address(environ, proxies) == "10.9.9.9"


@pytest.mark.parametrize("text", ["17", "-1", "10.0.0.0/33", "proxy.example", "10.0.0.1/8", "1,x"])
def test_a_wrong_setting_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="PUSH_TRUSTED_PROXIES is"):
        load({"PUSH_TRUSTED_PROXIES": text, **EMBEDDED}, embedded=True)


def test_on_heroku_its_router_is_believed() -> None:
    """Nobody else reaches a dyno."""
    settings = load({"DYNO": "web.1", "PUSH_BROKER_URL": "redis://host", **EMBEDDED}, embedded=True)
    assert settings.trusted_proxies == Proxies(hops=1, said=True)
