"""The image's health check: does the exporter in this container answer? `python3 -I -m exporter.cli.healthcheck`.

It needs no password and no certificate: that it is asked for one is an answer, too. Only 5xx and silence are bad. Loads
nothing but the standard library, since it starts twice a minute.
"""

import http.client
import os
import ssl
import sys
from typing import Final

PATH: Final = "/-/healthy"
_TIMEOUT_S: Final = 4.0
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}  # noqa: S104 - compared, not bound


def main(variable: str | None = None) -> int:
    """Ask at the first address of `variable` (the text of ZOHOVOICE_WEB_LISTEN_ADDRESS); 0: healthy, 1: not."""
    first = (variable or ":10042").split(",")[0].strip()
    host, _, port = first.rpartition(":")
    where = _LOOPBACK.get(host, host.strip("[]")), int(port)
    problem = answers(http.client.HTTPConnection(*where, timeout=_TIMEOUT_S))
    if problem is not None:
        problem = answers(http.client.HTTPSConnection(*where, timeout=_TIMEOUT_S, context=_any_certificate()))
    if problem is not None:
        sys.stderr.write(f"not healthy: {problem}\n")
        return 1
    return 0


def answers(connection: http.client.HTTPConnection) -> str | None:
    """None if somebody answers who is not at a loss, else what went wrong."""
    spoke_tls = False
    try:
        connection.connect()
        spoke_tls = isinstance(connection, http.client.HTTPSConnection)
        connection.request("GET", PATH)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        # In TLS 1.3 a client that is refused for want of a certificate learns it after the handshake.
        return None if spoke_tls and not isinstance(error, TimeoutError) else str(error) or type(error).__name__
    finally:
        connection.close()
    return f"{PATH} answers {status}" if status >= 500 else None


def _any_certificate() -> ssl.SSLContext:
    """It is made out to another name than 127.0.0.1, and nothing secret is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    sys.exit(main(os.environ.get("ZOHOVOICE_WEB_LISTEN_ADDRESS")))
