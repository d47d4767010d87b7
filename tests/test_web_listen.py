"""Addresses to listen on, and the sockets made of them."""

import asyncio
import ipaddress
import socket
from pathlib import Path

import httpx
import pytest

from exporter.errors import ExporterError, UsageError
from exporter.web.app import create_app
from exporter.web.serving.listen import ListenAddress, bind, parse_listen_address, urls
from exporter.web.serving.server import serve
from tests.support.metrics import Polled
from tests.support.web import web_state


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
        ("[fe80::1%eth0]:10042", "fe80::1%eth0", 10042),
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
        ("[fe80::1%]:80", "is no IPv6 address"),
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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("127.0.0.1", ""),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("::", "::1"),
        ("", "::1"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_two_addresses_of_which_one_covers_the_other_are_named(first: str, second: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    addresses = [ListenAddress(first, port), ListenAddress(second, port)]
    with pytest.raises(ExporterError) as refused:
        bind(addresses)
    assert str(refused.value) == (
        f"cannot listen on {addresses[1]} and on {addresses[0]}, because one covers the other; "
        "leave one --web.listen-address away"
    )


def test_both_protocols_can_have_the_same_port_and_any_number_may_be_left_to_chance() -> None:
    (first,) = bind([ListenAddress("127.0.0.1", 0)])
    port = first.getsockname()[1]
    first.close()
    sockets = bind([ListenAddress("127.0.0.1", port), ListenAddress("::1", port), *[ListenAddress("", 0)] * 2])
    try:
        assert urls(sockets)[:2] == (f"http://127.0.0.1:{port}", f"http://[::1]:{port}")
        assert len({sock.getsockname()[1] for sock in sockets}) == 3
    finally:
        for sock in sockets:
            sock.close()


def test_an_address_of_one_interface_is_bound_to_it() -> None:
    with pytest.raises(ExporterError, match=r"cannot listen on \[fe80::1%nowhere\]:80: .* is not known"):
        bind([parse_listen_address("[fe80::1%nowhere]:80")])
    interfaces = [line.split() for line in Path("/proc/net/if_inet6").read_text("ascii").splitlines()]
    for packed, name in [(words[0], words[5]) for words in interfaces if words[0].startswith("fe80")]:
        address = str(ipaddress.IPv6Address(bytes.fromhex(packed)))
        (sock,) = bind([parse_listen_address(f"[{address}%{name}]:0")])
        with sock:
            assert sock.getsockname()[3] == socket.if_nametoindex(name)
            assert urls([sock]) == (f"http://[{address}%{name}]:{sock.getsockname()[1]}",)
            with socket.socket(socket.AF_INET6) as client:
                client.settimeout(5)
                client.connect(sock.getsockname())


def test_unix_sockets_are_named_by_their_path(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as abstract:
        sock.bind(path)
        abstract.bind(f"\0{path}")
        assert urls([sock, abstract]) == (f"unix:{path}", f"unix:@{path}")


def test_the_application_is_served_over_both_protocols_at_once() -> None:
    async def check() -> None:
        sockets = bind([ListenAddress("127.0.0.1", 0), ListenAddress("::1", 0)])
        stop, ready = asyncio.Event(), asyncio.Event()
        app = create_app(web_state(Polled()))
        serving = asyncio.create_task(serve(app, sockets, stop, ready.set))
        await asyncio.wait_for(ready.wait(), 5)
        async with httpx.AsyncClient(trust_env=False) as client:
            for url in urls(sockets):
                answer = await client.get(f"{url}/-/healthy")
                assert (answer.status_code, answer.text) == (200, "Healthy.\n")
        stop.set()
        await serving

    asyncio.run(check())


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
