"""Who gets personal data: what --web.pages means, who counts as this machine alone, and the gate itself."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import AVAILABLE
from exporter.settings import Pages, WebSettings
from exporter.web.access import Access, access, all_loopback, names_this_machine
from exporter.web.serving.listen import bind, parse_listen_address
from tests.support.metrics import Polled
from tests.support.web import Running, raw, with_server

PERSONAL = "/api/v1/agents"


# --- the rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "loopback", "protected", "is_open", "only_local_names"),
    [
        (Pages.AUTO, False, False, False, False),
        (Pages.AUTO, True, False, True, True),
        (Pages.AUTO, False, True, True, False),
        (Pages.AUTO, True, True, True, False),
        (Pages.ALWAYS, False, False, True, False),
        (Pages.ALWAYS, True, False, True, True),
        (Pages.ALWAYS, False, True, True, False),
        (Pages.NEVER, True, True, False, False),
        (Pages.NEVER, False, False, False, False),
    ],
)
def test_the_rules(pages: Pages, loopback: bool, protected: bool, is_open: bool, only_local_names: bool) -> None:
    found = access(pages, loopback=loopback, protected=protected)
    assert (found.open, found.only_local_names) == (is_open, only_local_names)
    assert bool(found.why_not) is not is_open


def test_who_is_kept_out_is_told_each_way_in() -> None:
    why_not = access(Pages.AUTO, loopback=False, protected=False).why_not
    for way in ("--web.listen-address=127.0.0.1:10042", "--web.config.file", "--web.pages=always"):
        assert way in why_not
    assert "--web.pages=never" in access(Pages.NEVER, loopback=True, protected=True).why_not


# --- the Host header ------------------------------------------------------------------------------------------------

OURS = (
    "localhost",
    "LocalHost",
    "localhost:10042",
    "localhost:",
    "127.0.0.1",
    "127.0.0.1:10042",
    "127.255.255.254",
    "[::1]",
    "[::1]:10042",
    "[0:0:0:0:0:0:0:1]:80",
    "[::ffff:127.0.0.1]:80",
    "[::FFFF:7F00:1]",
)
NOT_OURS = {
    "no host": None,
    "an empty one": "",
    "a port alone": ":10042",
    "a name that was made to lead here": "rebinding.example.com:10042",
    "one that begins like ours": "localhost.example.com",
    "one that ends like ours": "notlocalhost",
    "one with our address in it": "127.0.0.1.example.com",
    "one that says where it leads": "127.0.0.1.nip.example.com",
    "below localhost, which some browsers look up": "foo.localhost",
    "below localhost, with a port": "app.localhost:10042",
    "with a dot at the end, which some resolvers look up": "localhost.",
    "with two dots": "localhost..",
    "an address with a dot at the end": "127.0.0.1.",
    "another machine": "192.0.2.1:10042",
    "a private address": "10.0.0.1",
    "all addresses": "0.0.0.0:10042",
    "all addresses of IPv6": "[::]:10042",
    "another machine by IPv6": "[2001:db8::1]",
    "another machine as IPv6": "[::ffff:192.0.2.1]",
    "compatible, not mapped": "[::127.0.0.1]",
    "an address as one number": "2130706433",
    "an address in hexadecimal": "0x7f.0.0.1",
    "an address in octal": "0177.0.0.1",
    "leading zeros": "127.000.000.001",
    "a short address": "127.1",
    "IPv6 without brackets": "::1",
    "IPv6 without brackets, with a port": "::1:80",
    "IPv4 in brackets": "[127.0.0.1]",
    "a name in brackets": "[localhost]",
    "a bracket too few": "[::1",
    "a bracket too many": "::1]",
    "a zone": "[::1%lo]:80",
    "a port that is none": "localhost:http",
    "a port in other digits": "localhost:\u0668\u0660",
    "two ports": "localhost:80:80",
    "a user": "localhost@rebinding.example.com",
    "a user called otherwise": "rebinding.example.com@localhost",
    "a list": "localhost, rebinding.example.com",
    "a path": "localhost/",
    "a blank": " localhost",
    "a line end": "localhost\n",
    "a letter that folds to one of ours": "lo\u0441alhost",
    "the Kelvin sign's like": "\u217focalhost",
    "NUL": "localhost\0.example.com",
    "another machine's own name": "localhost.localdomain",
}


@pytest.mark.parametrize("host", OURS)
def test_a_host_that_names_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize("what", NOT_OURS)
def test_a_host_that_does_not(what: str) -> None:
    assert not names_this_machine(NOT_OURS[what])


PARTS = ("localhost", "127.0.0.1", "[::1]", "::1", "[", "]", ":", ":80", ".", "@", "%", " ", ",", "x", "example.com")


@given(st.one_of(st.text(), st.lists(st.sampled_from(PARTS), max_size=4).map("".join)))
def test_no_text_is_ours_but_localhost_and_loopback_addresses(host: str) -> None:
    if names_this_machine(host):
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        assert name.lower() == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback


@given(st.ip_addresses(v=4))
def test_of_the_ipv4_addresses_those_that_begin_with_127(address: ipaddress.IPv4Address) -> None:
    assert names_this_machine(f"{address}:10042") == (address.packed[0] == 127)


@given(st.ip_addresses(v=6))
def test_of_the_ipv6_addresses_hardly_any(address: ipaddress.IPv6Address) -> None:
    ours = address == ipaddress.IPv6Address("::1") or address.packed[:13] == bytes(10) + b"\xff\xff\x7f"
    assert names_this_machine(f"[{address}]:10042") == ours


# --- who can reach the listeners ------------------------------------------------------------------------------------


@contextmanager
def listening(*addresses: str) -> Iterator[tuple[socket.socket, ...]]:
    with ExitStack() as stack:
        yield tuple(stack.enter_context(one) for one in bind([parse_listen_address(address) for address in addresses]))


@pytest.mark.parametrize(
    ("addresses", "alone"),
    [
        (["127.0.0.1:0"], True),
        (["127.0.0.9:0"], True),
        (["localhost:0"], True),
        (["[::1]:0"], True),
        (["127.0.0.1:0", "[::1]:0"], True),
        (["0.0.0.0:0"], False),
        (["[::]:0"], False),
        ([":0"], False),
        (["127.0.0.1:0", "0.0.0.0:0"], False),
    ],
)
def test_only_loopback_addresses_are_for_this_machine_alone(addresses: list[str], alone: bool) -> None:
    with listening(*addresses) as sockets:
        assert all_loopback(sockets) is alone


@pytest.mark.parametrize(("address", "alone"), [("::ffff:127.0.0.1", True), ("::ffff:0.0.0.0", False), ("::", False)])
def test_an_ipv6_socket_that_takes_ipv4_goes_by_the_address_in_it(address: str, alone: bool) -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, 0))
        assert all_loopback([listener]) is alone


def test_a_socket_file_is_for_this_machine_alone() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        assert all_loopback([listener])


def test_a_socket_of_another_sort_is_not_and_neither_is_none_at_all() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert not all_loopback([])
    if hasattr(socket, "AF_NETLINK"):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as strange:
            assert not all_loopback([strange])


# --- the gate -------------------------------------------------------------------------------------------------------


def polled() -> Polled:
    one = Polled()
    one.poll({"7001": AVAILABLE})
    return one


def ask(host: str | None, allowed: Access, *, version: str = "1.1") -> bytes:
    """What is answered to a request for personal data with this Host header."""
    answer = b""

    async def run(server: Running) -> None:
        nonlocal answer
        line = "" if host is None else f"Host: {host}\r\n"
        answer = await raw(server.port, f"GET {PERSONAL} HTTP/{version}\r\n{line}Connection: close\r\n\r\n".encode())

    with_server(run, polled(), access=lambda: allowed)
    return answer


LOCAL = Access(open=True, only_local_names=True)


@pytest.mark.parametrize("host", ["localhost:10042", "127.0.0.1", "[::1]:1"])
def test_under_its_own_names_it_answers(host: str) -> None:
    answer = ask(host, LOCAL)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"7001" in answer
    assert b"cache-control: no-store" in answer


@pytest.mark.parametrize(
    "host", ["rebinding.example.com:10042", "foo.localhost", "localhost.", "", "[::1", "localhost:\u0668"]
)
def test_under_other_names_it_says_how_to_ask_and_nothing_else(host: str) -> None:
    answer = ask(host, LOCAL)
    assert answer[9:12] in (b"403", b"400")
    assert b"7001" not in answer
    if b" 403 " in answer[:14]:
        assert b"ask for it as localhost or 127.0.0.1" in answer
        assert b"cache-control: no-store" in answer


def test_without_a_host_header_there_is_nothing_to_trust() -> None:
    answer = ask(None, LOCAL, version="1.0")
    assert answer[9:12] in (b"403", b"400")
    assert b"7001" not in answer


def test_where_who_asks_has_logged_in_any_name_will_do() -> None:
    assert b"7001" in ask("exporter.example.com", Access(open=True))


def test_a_closed_gate_says_why() -> None:
    why_not = access(Pages.AUTO, loopback=False, protected=False).why_not
    answer = ask("localhost", Access(open=False, why_not=why_not))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"--web.pages=always" in answer
    assert b"7001" not in answer


def test_metrics_and_health_are_not_behind_the_gate() -> None:
    async def look(server: Running) -> None:
        for path in ("/metrics", "/-/healthy", "/-/ready", "/config"):
            answer = await server.get(path, host="rebinding.example.com")
            assert answer.status_code == 200, path

    with_server(look, polled(), WebSettings(), access=lambda: Access(open=False, why_not="No."))


def test_the_gate_follows_what_is_allowed_at_the_moment() -> None:
    now = Access(open=True)

    async def look(server: Running) -> None:
        nonlocal now
        assert (await server.get(PERSONAL)).status_code == 200
        now = Access(open=False, why_not="No.")
        assert (await server.get(PERSONAL)).status_code == 403
        assert (await server.client.head(PERSONAL)).status_code == 403
        now = Access(open=True)
        await asyncio.sleep(0)
        assert (await server.get(PERSONAL)).status_code == 200

    with_server(look, polled(), access=lambda: now)
