"""Who is asking, as far as limits for one client are concerned."""

import ipaddress
from functools import lru_cache

from starlette.types import Scope


def client_of(scope: Scope) -> str:
    """Whom a request counts for: the IPv4 address, the IPv6 network of 64 bits, "" for all on unix sockets.

    A host of IPv6 has 2^64 addresses to choose from (RFC 4291, section 2.5.4); one address says nothing of it.
    """
    client = scope.get("client")
    return _counted_as(client[0]) if client else ""


@lru_cache(maxsize=1024)
def _counted_as(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
