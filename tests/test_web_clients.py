"""Whom a request counts for."""

import pytest

from exporter.web.clients import client_of


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("of no address", "of no address"),
    ],
)
def test_an_ipv6_host_counts_with_its_network(address: str, counts_as: str) -> None:
    assert client_of({"type": "http", "client": (address, 12345)}) == counts_as


def test_all_on_unix_sockets_count_as_one() -> None:
    assert client_of({"type": "http", "client": None}) == client_of({"type": "http"}) == ""
