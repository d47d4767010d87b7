"""Passwords, their hashes and the server's key come out nowhere, whoever asks and whatever becomes of the file.

The rest of law 12 of scrapes is in `test_secrets.py`, in the same manner.
"""

import asyncio
import re
import signal
import ssl
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests.support.certificates import LOCAL, Certificate, authority
from tests.support.children import PATIENCE_S, Child, child, serve_arguments
from tests.support.cli import environment
from tests.support.hiding import FORMATS
from tests.support.running import simulated
from tests.support.secrets import Evidence
from tests.support.tls import client_context

PASSWORD = "a password that is long enough: ünïcode"
GUESS = "guessed-by-somebody-who-is-wrong"
ADDRESS = re.compile(r"https://127\.0\.0\.1:\d+")


def web_config(pair: Certificate, hashed: str) -> str:
    def block(file: Path) -> str:
        return "".join(f"    {line}\n" for line in file.read_text().splitlines())

    return (
        f"tls_server_config:\n  cert: |\n{block(pair.certificate)}  key: |\n{block(pair.key)}"
        f"basic_auth_users:\n  scraper: {hashed}\n"
    )


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_web_configuration_file_holds_and_what_clients_send_is_let_out_nowhere(
    form: str, tmp_path: Path
) -> None:
    ca = authority(tmp_path)
    pair = ca.issue("server", LOCAL)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(web_config(pair, hashed))
    files = tmp_path / "files"
    files.mkdir()
    key = "".join(pair.key.read_text().splitlines()[1:-1])
    evidence = Evidence({"password": PASSWORD, "guess": GUESS, "hash": hashed, "key": key})
    context = client_context(ca.certificate)

    async def run() -> None:
        flags = (f"--web.config.file={config}", "--log.level=debug", f"--log.format={form}", "--web.enable-lifecycle")
        async with simulated() as simulator:
            async with child(*serve_arguments(files), *flags, env=environment(simulator)) as process:
                url = await serving_at(process)
                evidence.add_process(process.process.pid)
                await asked_in_many_ways(url, context, evidence)
                for wrong in (hashed[:-1], hashed.replace("$2b$", "$9z$"), f"[{hashed}]", f"{hashed}: {PASSWORD}"):
                    config.write_text(web_config(pair, wrong))
                    process.process.send_signal(signal.SIGHUP)
                    await asked_in_many_ways(url, context, evidence)
                config.write_text(web_config(pair, hashed).replace(key[:60], key[:59] + "!"))
                process.process.send_signal(signal.SIGHUP)
                await asked_in_many_ways(url, context, evidence)
                assert (await process.stop())[0] == 0
            evidence.add("stdout", bytes(process.out))
            evidence.add("stderr", bytes(process.err))

    asyncio.run(run())
    evidence.add_files(files, holding_secrets={"zohovoice-token.json": "\0"})
    assert evidence.leaks() == []
    assert "not" in evidence.text_of("stderr")  # something was said of the wrong files


async def serving_at(process: Child) -> str:
    async with asyncio.timeout(PATIENCE_S):
        while (found := ADDRESS.search(process.log)) is None:
            assert process.alive, process.log
            await asyncio.sleep(0.02)
    return found[0]


async def asked_in_many_ways(url: str, context: ssl.SSLContext, evidence: Evidence) -> None:
    await evidence.add_pages(url, verify=context, auth=("scraper", PASSWORD))
    await evidence.add_pages(url, verify=context)
    async with httpx.AsyncClient(base_url=url, verify=context, trust_env=False) as http:
        for auth in (("scraper", GUESS), (GUESS, PASSWORD), (PASSWORD, GUESS)):
            answer = await http.get("/config", auth=auth)
            evidence.add("refused", answer.content + repr(answer.headers).encode())
            assert answer.status_code == 401
        for method, path in (("POST", "/-/reload"), ("GET", f"/{GUESS[:4]}"), ("PUT", "/metrics")):
            answer = await http.request(method, path, auth=("scraper", PASSWORD))
            evidence.add(path, answer.content + repr(answer.headers).encode())
