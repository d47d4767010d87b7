"""The data files of the web configuration file, beside certificates and keys that openssl makes on the spot."""

import re
import shutil
from pathlib import Path
from typing import Final

from tests.support.certificates import openssl

DATA: Final = Path(__file__).parent.parent / "data" / "web_config"

_PUT_IN: Final = re.compile(r"^( *)<(\S+)>$", re.MULTILINE)
_P256: Final = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def names(prefix: str) -> list[str]:
    """The data files whose name begins with `prefix`, in order."""
    return sorted(path.name for path in DATA.glob(f"{prefix}*.yml"))


def lay_out(folder: Path) -> None:
    """Put every data file into `folder`, and what they name: certificates, keys, and files that are none.

    A line `<server.crt>` becomes the text of that file, indented as the line is. Takes about 300 ms.
    """
    make_pair(folder, "server", *_P256)
    make_pair(folder, "other", *_P256)
    make_pair(folder, "client_ca", *_P256)
    make_pair(folder, "ed25519", "ed25519")
    make_pair(folder, "rsa1024", "rsa:1024")
    make_pair(folder, "secp256k1", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1")
    shutil.move(folder / "client_ca.crt", folder / "client_ca.pem")
    certificate, key = (folder / "server.crt").read_text(), (folder / "server.key").read_text()
    (folder / "both.pem").write_text(certificate + key)
    (folder / "surrounded.crt").write_text(f"subject=näme\n{certificate}and nothing more\n", encoding="latin-1")
    (folder / "mislabelled.key").write_text(key.replace(" PRIVATE KEY", " RSA PRIVATE KEY"))
    (folder / "damaged.crt").write_text(_damaged(certificate))
    (folder / "damaged.key").write_text(_damaged(key))
    openssl("pkcs8", "-topk8", "-in", folder / "server.key", "-out", folder / "locked.key", "-passout", "pass:hunter22")
    openssl(
        "ec", "-in", folder / "server.key", "-aes128", "-out", folder / "locked_old.key", "-passout", "pass:hunter22"
    )
    (folder / "inner").mkdir()
    for source in DATA.glob("*.yml"):
        text = _PUT_IN.sub(lambda line: _indented(folder / line[2], line[1]), source.read_text())
        (folder / source.name).write_text(text)


def make_pair(folder: Path, name: str, *kind: str, days: int = 60) -> None:
    """Make `name.crt`, signed by itself, and `name.key`."""
    openssl(
        *("req", "-x509", "-newkey", *kind, "-nodes", "-days", str(days), "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
    )


def _damaged(pem: str) -> str:
    lines = pem.splitlines()
    lines[2] = lines[2][::-1]
    return "\n".join(lines) + "\n"


def _indented(file: Path, indent: str) -> str:
    return "\n".join(indent + line for line in file.read_text().splitlines())
