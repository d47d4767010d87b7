"""Addresses to listen on, and the sockets made of them."""

import socket

import pytest

from exporter.errors import ExporterError, UsageError
from exporter.web.listen import ListenAddress, bind, parse_listen_address, urls


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":10042", "", 10042),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:65535", "localhost", 65535),
        ("metrics.example.test:9100", "metrics.example.test", 9100),
        ("[::1]:10042", "::1", 10042),
        ("[::]:10042", "::", 10042),
        ("[2001:DB8::0:1]:1", "2001:db8::1", 1),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert parse_listen_address(text) == ListenAddress(host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no port"),
        ("10042", "has no port"),
        ("localhost", "has no port"),
        ("localhost:", "'' is no port"),
        ("localhost:http", "'http' is no port"),
        ("localhost:65536", "'65536' is no port"),
        (":-1", "'-1' is no port"),
        (":+1", "'\\+1' is no port"),
        (": 80", "' 80' is no port"),
        (":٣", "'٣' is no port"),
        ("::1:80", "stands in brackets"),
        ("[::1]", "'1\\]' is no port"),
        ("[::g]:80", "'::g' is no IPv6 address"),
        ("[127.0.0.1]:80", "is no IPv6 address"),
        ("http://localhost:80", "stands in brackets|no host name"),
        ("a b:80", "no host name"),
        ("host/path:80", "no host name"),
    ],
)
def test_a_wrong_address_is_refused_with_the_flag_and_the_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        parse_listen_address(text)
    assert str(refused.value).startswith(f"--web.listen-address '{text}'")


def test_port_0_gets_a_free_port_that_is_told() -> None:
    sockets = bind([parse_listen_address("127.0.0.1:0"), parse_listen_address(":0")])
    try:
        ports = [sock.getsockname()[1] for sock in sockets]
        assert urls(sockets) == tuple(f"http://127.0.0.1:{port}" for port in ports)
        assert 0 not in ports
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_interfaces_are_reached_by_both_protocols() -> None:
    (sock,) = bind([parse_listen_address(":0")])
    port = sock.getsockname()[1]
    with sock:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_a_port_in_use_is_told_with_the_way_out_and_nothing_stays_bound() -> None:
    with socket.socket() as other, socket.socket() as free:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        free.bind(("127.0.0.1", 0))
        spare = free.getsockname()[1]
        free.close()
        with pytest.raises(ExporterError) as refused:
            bind([ListenAddress("127.0.0.1", spare), ListenAddress("127.0.0.1", taken)])
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{taken}: the port is in use by another program; "
        "choose another address with --web.listen-address"
    )
    bind([ListenAddress("127.0.0.1", spare)])[0].close()


def test_the_same_address_twice_is_a_port_in_use() -> None:
    (first,) = bind([ListenAddress("127.0.0.1", 0)])
    with first, pytest.raises(ExporterError, match="the port is in use"):
        bind([ListenAddress("127.0.0.1", first.getsockname()[1])])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (ListenAddress("192.0.2.1", 0), "no interface of this machine has that address"),
        (ListenAddress("no-such-host.invalid", 80), "the host name 'no-such-host.invalid' is not known"),
    ],
)
def test_an_address_that_is_not_here_is_told(address: ListenAddress, why: str) -> None:
    with pytest.raises(ExporterError, match=f"cannot listen on .*: {why}; choose another address"):
        bind([address])
