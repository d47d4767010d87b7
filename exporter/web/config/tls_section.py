"""`tls_server_config`: the files that it names, and upstream's verdict on what it asks for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.errors import UsageError
from exporter.model import storable
from exporter.secret import Secret
from exporter.textfile import content
from exporter.web.config.certificate import facts
from exporter.web.config.ciphers import HTTP2_CIPHERS, TLS13_CIPHERS, VERSIONS
from exporter.web.config.decoding import HTTP, TLS, TLS_KEYS, Decoded
from exporter.web.config.model import LARGEST, ClientAuth, TlsServer
from exporter.web.config.pem import certificates
from exporter.web.config.quoting import value_shown
from exporter.web.config.tls_context import make_context

_SWITCHES: Final = ("cert_file", "cert", "key_file", "key", "client_ca_file", "client_ca", "client_auth_type")
"""One of them switches TLS on."""
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")


@dataclass(frozen=True, slots=True)
class _Pem:
    text: str
    name: str
    """How messages call it."""
    key: str
    """Where it stands."""
    file: Path | None


def read_tls(decoded: Decoded) -> tuple[TlsServer | None, tuple[Path, ...], tuple[str, ...]]:
    """What is asked for (None: plain HTTP), the files that were read, and what is to be noted.

    Raises UsageError for what upstream refuses, and for what ssl cannot do.
    """
    if not any(decoded.text(f"{TLS}.{key}") for key in _SWITCHES):
        return None, (), tuple(_notes_without_tls(decoded))
    certificate, key = _required(decoded, "cert"), _required(decoded, "key")
    ca = _pem(decoded, "client_ca")
    tls = TlsServer(
        certificate=certificate.text,
        key=Secret(key.text),
        client_auth=_client_auth(decoded, ca),
        client_ca=None if ca is None else ca.text,
        client_allowed_sans=decoded.texts(f"{TLS}.client_allowed_sans"),
        min_version=decoded.text(f"{TLS}.min_version") or "TLS12",
        max_version=decoded.text(f"{TLS}.max_version") or "TLS13",
        ciphers=_ciphers(decoded),
        curve=_curve(decoded),
        prefer_server_ciphers=decoded.flag(f"{TLS}.prefer_server_cipher_suites", default=True),
        certificate_name=certificate.name,
        key_name=key.name,
    )
    _http2(decoded, tls)
    _usable(decoded, certificate, key, tls)
    files = tuple(pem.file for pem in (certificate, key, ca) if pem is not None and pem.file is not None)
    return tls, files, tuple(_notes(tls))


def _required(decoded: Decoded, key: str) -> _Pem:
    found = _pem(decoded, key)
    if found is None:
        raise UsageError(f"{decoded.where(TLS)}: TLS needs a certificate and a key: give {key}_file or {key}")
    return found


def _pem(decoded: Decoded, key: str) -> _Pem | None:
    """`key` from the file that `<key>_file` names, else as it stands in the configuration; None if there is neither."""
    named, inline = f"{TLS}.{key}_file", f"{TLS}.{key}"
    relative = decoded.text(named)
    if relative:
        file = Path(os.path.normpath(decoded.path.parent / relative))
        return _Pem(_read(decoded.where(named), file), f"{key}_file {file}", named, file)
    text = decoded.text(inline)
    return _Pem(text, f"the text of {key}", inline, None) if text else None


def _read(where: str, file: Path) -> str:
    if "-----BEGIN" in str(file):
        raise UsageError(f"{where}: a text in PEM stands where the name of a file is expected")
    try:
        return content(file, LARGEST).decode("latin-1")  # what is no ASCII is between the blocks
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no name of a file"
        raise UsageError(f"{where}: cannot read the file {storable(str(file))}: {reason}") from error


def _client_auth(decoded: Decoded, ca: _Pem | None) -> ClientAuth:
    key = f"{TLS}.client_auth_type"
    text = decoded.text(key) or ClientAuth.NONE.value
    if text in _UNVERIFIED:
        raise UsageError(
            f"{decoded.where(key)}: {text} asks for certificates without verifying them, which Python's ssl cannot do: "
            f"write {ClientAuth.REQUIRED.value} and name a client_ca_file"
        )
    known = [kind.value for kind in ClientAuth]
    if text not in known:
        raise UsageError(
            f"{decoded.where(key)}: {value_shown(text, known)} is not known: write one of {', '.join(known)}"
        )
    found = ClientAuth(text)
    if ca is not None and found is ClientAuth.NONE:
        raise UsageError(
            f"{decoded.where(ca.key)}: a CA for client certificates is given, but nobody is asked for one: "
            f"write client_auth_type: {ClientAuth.REQUIRED.value} too, or leave the CA out"
        )
    return found


def _ciphers(decoded: Decoded) -> tuple[str, ...]:
    key = f"{TLS}.cipher_suites"
    names = decoded.texts(key) or ()
    some = [name for name in TLS13_CIPHERS if name in names]
    if some and len(some) < len(TLS13_CIPHERS):
        raise UsageError(
            f"{decoded.where(key)}: {', '.join(some)} cannot be chosen alone: Python's ssl always offers all suites of "
            "TLS 1.3; name all three or none of them"
        )
    return names


def _curve(decoded: Decoded) -> str | None:
    key = f"{TLS}.curve_preferences"
    names = decoded.texts(key) or ()
    known = list(dict.fromkeys(name for name in names if name))
    if len(known) > 1 or (names and not known):
        raise UsageError(
            f"{decoded.where(key)}: {len(known) or 'no'} curves are named, but Python's ssl takes just one: "
            "write one of them, or leave the key out for OpenSSL's own choice"
        )
    return known[0] if known else None


def _http2(decoded: Decoded, tls: TlsServer) -> None:
    """Upstream's server does not start with HTTP/2 on and without the suite that HTTP/2 must have."""
    key = f"{HTTP}.http2"
    if not tls.ciphers or tls.min_version == "TLS13" or not decoded.flag(key, default=True):
        return
    if not any(name in HTTP2_CIPHERS for name in tls.ciphers):
        raise UsageError(
            f"{decoded.where(f'{TLS}.cipher_suites')}: HTTP/2, which is on unless {key} is false, needs "
            f"{' or '.join(HTTP2_CIPHERS)}: add one, or write {key}: false"
        )


def _usable(decoded: Decoded, certificate: _Pem, key: _Pem, tls: TlsServer) -> None:
    where = decoded.where(certificate.key)
    try:
        make_context(tls)
    except UsageError as error:
        about_key = str(error).startswith(key.name)
        raise UsageError(f"{decoded.where(key.key) if about_key else where}: {error}") from error
    known = facts(certificates(tls.certificate)[0].der)
    if known is not None and not known.key_known:
        raise UsageError(
            f"{where}: {certificate.name} is made for a kind of key that is not used for TLS: "
            "make one for RSA, for ECDSA on P-256, P-384 or P-521, or for Ed25519"
        )


def _notes_without_tls(decoded: Decoded) -> Iterator[str]:
    given = [key for key in TLS_KEYS if f"{TLS}.{key}" in decoded.lines]
    if given:
        yield f"{TLS} names neither certificate nor key, so TLS stays off; without effect: {', '.join(given)}"


def _notes(tls: TlsServer) -> Iterator[str]:
    versions = list(VERSIONS)
    if versions.index(tls.min_version) > versions.index(tls.max_version):
        yield f"min_version {tls.min_version} is above max_version {tls.max_version}, so nobody can connect"
    if tls.client_auth is ClientAuth.NONE:
        if tls.client_allowed_sans is not None:
            yield "client_allowed_sans does nothing without client_auth_type"
        return
    if tls.client_ca is None:
        yield "no client_ca_file is named, so certificates of every authority that this system trusts are good"
    elif not any(facts(block.der) for block in certificates(tls.client_ca)):
        yield "the CA for client certificates holds no certificate, so none that a client shows is good"
    if tls.client_allowed_sans == ():
        yield "client_allowed_sans is empty, so no client certificate is good"
    if tls.min_version in ("TLS10", "TLS11"):
        yield f"with min_version {tls.min_version}, OpenSSL also takes client certificates that are signed with SHA-1"
