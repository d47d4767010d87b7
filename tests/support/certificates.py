"""Authorities and certificates, made by the openssl program: small keys on a curve, so that each takes milliseconds."""

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.programs import program

LOCAL = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")
"""The names of a server on loopback."""


def openssl(*arguments: str | Path) -> str:
    """What the program prints."""
    command = [program("openssl", "openssl"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def pair(self) -> tuple[str, str]:
        """Both, as ssl's load_cert_chain and httpx take them."""
        return str(self.certificate), str(self.key)

    @property
    def serial(self) -> str:
        """The serial number, in hexadecimal, as ssl gives it too."""
        return openssl("x509", "-in", self.certificate, "-noout", "-serial").strip().removeprefix("serial=")


@dataclass(frozen=True)
class Authority:
    """Issues certificates."""

    directory: Path
    name: str

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.directory / f"{self.name}.pem"

    @cached_property
    def _key(self) -> Path:
        return self.directory / f"{self.name}.key"

    def issue(self, name: str, sans: tuple[str, ...] = (), *, use: str = "serverAuth", days: int = 2) -> Certificate:
        """A certificate for `name`, which must be new here. `days` may be negative: it is over then.

        `sans` as openssl writes them: `DNS:x`, `IP:::1`, `URI:spiffe://x`, `email:a@b`; a surrogate such as "\\udcff"
        stands for a byte that is no UTF-8. `use`: or clientAuth.
        """
        key, certificate, request = (self.directory / f"{name}.{end}" for end in ("key", "pem", "csr"))
        extensions = self.directory / f"{name}.ext"
        lines = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={use}"]
        text = "\n".join([*lines, f"subjectAltName={','.join(sans)}"] if sans else lines) + "\n"
        extensions.write_bytes(text.encode("utf-8", "surrogateescape"))
        openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", request, "-out", certificate, "-extfile", extensions, "-days", str(days)),
            *("-CA", self.certificate, "-CAkey", self._key, "-set_serial", f"0x{_serial(name)}"),
        )
        return Certificate(certificate, key)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(directory: Path, name: str = "ca") -> Authority:
    """A new authority whose files lie in `directory`."""
    made = Authority(directory, name)
    openssl(
        *("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", f"/CN={name}"),
        *("-keyout", directory / f"{name}.key", "-out", made.certificate),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
    )
    return made


def replace(old: Certificate, new: Certificate) -> None:
    """Put `new` in the place of `old` as a careful program does: each file at once, first the certificate."""
    for there, here in ((old.certificate, new.certificate), (old.key, new.key)):
        fresh = there.with_suffix(".new")
        fresh.write_bytes(here.read_bytes())
        fresh.replace(there)


def _serial(name: str) -> str:
    return name.encode().hex()[:30].upper()
