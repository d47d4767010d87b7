"""The TLS context that `tls_server_config` asks for.

It means what Go's crypto/tls means by the same keys, as far as Python's ssl can say it; the reader of the file has
refused the rest. OpenSSL is held to Go's measure of keys, not to the distribution's.
"""

import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exporter.errors import UsageError
from exporter.web.config.ciphers import CURVES, VERSIONS, only_tls13, openssl_ciphers
from exporter.web.config.model import ClientAuth, TlsServer
from exporter.web.config.pem import Block, certificates, private_key

ALPN: Final = ("http/1.1",)

_LEVEL: Final = 1
"""OpenSSL's security level that is nearest to Go: RSA keys from 1024 bits on, no client certificates with SHA-1."""
_LEVEL_OLD: Final = 0
"""TLS 1.0 and 1.1 sign their handshakes with MD5 and SHA-1, which OpenSSL 3 allows at this level only."""

_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")

_KEY_LABELS: Final = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")


def make_context(tls: TlsServer) -> ssl.SSLContext:
    """A context for the server's side: certificate, client certificates, versions, ciphers, curve, ALPN.

    The names in `client_allowed_sans` are not checked here: ssl cannot; whoever accepts the connection must.
    Takes a few milliseconds. Raises UsageError for what OpenSSL refuses.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(ALPN)
    _ciphers_and_versions(context, tls)
    _curve(context, tls)
    _certificate(context, tls)
    _client_certificates(context, tls)
    return context


def _ciphers_and_versions(context: ssl.SSLContext, tls: TlsServer) -> None:
    lowest, highest = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    old = lowest < ssl.TLSVersion.TLSv1_2
    context.set_ciphers(openssl_ciphers(tls.ciphers, _LEVEL_OLD if old else _LEVEL))
    if only_tls13(tls.ciphers):
        lowest = ssl.TLSVersion.TLSv1_3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the file asks for the old versions by name
        context.minimum_version = lowest
        context.maximum_version = highest
    if tls.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _curve(context: ssl.SSLContext, tls: TlsServer) -> None:
    if tls.curve is None:
        return
    try:
        context.set_ecdh_curve(CURVES[tls.curve])
    except (ValueError, ssl.SSLError) as error:
        raise UsageError(
            f"the curve {tls.curve} is not possible with {ssl.OPENSSL_VERSION}: use another one, or name none"
        ) from error


def _certificate(context: ssl.SSLContext, tls: TlsServer) -> None:
    chain = certificates(tls.certificate)
    if not chain:
        raise UsageError(f"{tls.certificate_name} holds no certificate in PEM form ('-----BEGIN CERTIFICATE-----')")
    key = private_key(tls.key.reveal())
    if key is None:
        raise UsageError(f"{tls.key_name} holds no private key in PEM form ('-----BEGIN PRIVATE KEY-----')")
    if key.encrypted:
        raise UsageError(
            f"{tls.key_name} holds a key that is locked with a password, which nobody would be there to type: "
            "unlock it with 'openssl pkey -in LOCKED -out UNLOCKED' and let nobody else read it"
        )
    refused: ssl.SSLError | None = None
    # Go reads the key whatever kind its label says it is; OpenSSL goes by the label.
    own = (key.label,) if key.label.isascii() else ()
    for label in dict.fromkeys((*own, *_KEY_LABELS)):
        try:
            return _load(context, chain, key, label)
        except ssl.SSLError as error:
            refused = _telling(refused, error)
    raise UsageError(_why(tls, refused)) from refused


def _telling(first: ssl.SSLError | None, second: ssl.SSLError) -> ssl.SSLError:
    return second if first is None or second.reason in _MISMATCHES else first


def _why(tls: TlsServer, error: ssl.SSLError | None) -> str:
    reason = error.reason if error is not None else None
    if reason in _MISMATCHES:
        return (
            f"{tls.certificate_name} and {tls.key_name} do not belong together: "
            "give the key that the certificate was made for"
        )
    if reason:
        said = reason.replace("_", " ").lower()
        return f"{tls.certificate_name} and {tls.key_name} cannot be used: OpenSSL says '{said}'"
    if not all(_readable(block) for block in certificates(tls.certificate)):
        return f"{tls.certificate_name} holds a certificate that is damaged: get it again from where it was made"
    return f"{tls.key_name} holds a key that is damaged, or of a kind that OpenSSL does not know: get it again"


def _readable(certificate: Block) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate.der)
    except ssl.SSLError:
        return False
    return True


def _load(context: ssl.SSLContext, chain: list[Block], key: Block, label: str) -> None:
    text = "".join(part.reveal() for part in (*(block.pem() for block in chain), key.pem(label)))
    with _as_file(text) as path:
        context.load_cert_chain(path, password="")  # or else OpenSSL asks the terminal


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A file that holds `text`, for OpenSSL, which reads keys from files only; in memory where the system can."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("certificate"), "w", encoding="ascii") as memory:
            memory.write(text)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:  # readable for its owner only
            file.write(text)
            file.flush()
            yield file.name


def _client_certificates(context: ssl.SSLContext, tls: TlsServer) -> None:
    if tls.client_auth is ClientAuth.NONE:
        return
    required = tls.client_auth is ClientAuth.REQUIRED
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    # Go trusts each certificate of the file as it stands, whether or not it is the root of anything.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as Go: no file means the system's authorities
        return
    for block in certificates(tls.client_ca):
        try:
            context.load_verify_locations(cadata=block.der)
        except ssl.SSLError:
            continue  # as Go: what is no certificate is passed over, so that it lets nobody in
