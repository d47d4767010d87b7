"""The names that Go has for cipher suites, curves and versions, and what OpenSSL calls the same things.

Source: Go's crypto/tls, `CipherSuites()` as of Go 1.25, which is all that exporter-toolkit accepts. Go 1.22 moved the
four suites without forward secrecy (`TLS_RSA_WITH_…`) to its insecure ones; upstream refuses them since.
"""

from collections.abc import Mapping, Sequence
from ssl import TLSVersion
from types import MappingProxyType
from typing import Final

CIPHERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    }
)
"""Suites up to TLS 1.2, in the order in which Go prefers them when the file names none."""

TLS13_CIPHERS: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always all on: neither Go nor Python's ssl can choose among them."""

HTTP2_CIPHERS: Final = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
"""Go's HTTP/2 server does not start without one of them (RFC 9113, section 9.2.2)."""

CURVES: Final[Mapping[str, str]] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)

VERSIONS: Final[Mapping[str, TLSVersion]] = MappingProxyType(
    {
        "TLS10": TLSVersion.TLSv1,
        "TLS11": TLSVersion.TLSv1_1,
        "TLS12": TLSVersion.TLSv1_2,
        "TLS13": TLSVersion.TLSv1_3,
    }
)
"""Oldest first."""


def openssl_ciphers(names: Sequence[str], level: int) -> str:
    """OpenSSL's list for suites up to TLS 1.2, in the order of `names`; if it holds none of them, Go's default ones.

    `level` is OpenSSL's security level.
    """
    wanted = [CIPHERS[name] for name in dict.fromkeys(names) if name in CIPHERS]
    return ":".join([*(wanted or CIPHERS.values()), f"@SECLEVEL={level}"])


def only_tls13(names: Sequence[str]) -> bool:
    """Whether `names` asks for suites, but for none that a version before TLS 1.3 has."""
    return bool(names) and not any(name in CIPHERS for name in names)
