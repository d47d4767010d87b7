"""A real Prometheus that scrapes what a test serves."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.programs import program
from tests.support.sockets import free_port


class Prometheus:
    """Its API."""

    def __init__(self, http: httpx.AsyncClient, config: Path) -> None:
        self._http = http
        self._config = config

    @property
    def address(self) -> str:
        """Where it answers, without a slash at the end."""
        return str(self._http.base_url).rstrip("/")

    async def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The vector that a query gives now, or at the second `at` since 1970; empty while Prometheus is not up yet."""
        when = {} if at is None else {"time": str(at)}
        found: list[dict[str, Any]] = (await self._data("/api/v1/query", query=expression, **when)).get("result", [])
        return found

    async def course(self, expression: str, start: int, end: int, step: int) -> list[dict[str, Any]]:
        """The matrix that a query gives from `start` to `end`, both included, all in seconds."""
        window = {"start": str(start), "end": str(end), "step": str(step)}
        answer = await self._data("/api/v1/query_range", query=expression, **window)
        found: list[dict[str, Any]] = answer.get("result", [])
        return found

    async def metadata(self, target: str) -> set[str]:
        """The families that a selector's targets, such as `{job="x"}`, have told of, as their format names them."""
        answer = await self._http.get("/api/v1/targets/metadata", params={"match_target": target})
        return {entry["metric"] for entry in answer.json()["data"]}

    async def errors(self) -> dict[str, str]:
        """What each job last failed with; empty texts for those that did not."""
        targets = (await self._data("/api/v1/targets"))["activeTargets"]
        return {target["labels"]["job"]: target["lastError"] for target in targets}

    async def until(self, expression: str, wanted: object, *, seconds: float = 30.0) -> None:
        """Ask until the answer, as {status label: number}, is `wanted`."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        while True:
            answer = await self.query(expression)
            numbers = {row["metric"].get("status", ""): float(row["value"][1]) for row in answer}
            if numbers == wanted:
                return
            assert loop.time() < give_up, f"{expression} is {numbers}, not {wanted}"
            await asyncio.sleep(0.2)

    async def asked(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The `data` of an answer of the API. AssertionError if Prometheus refuses, or warns of something."""
        answer = await self._http.get(path, params=dict(parameters))
        said = answer.json()
        assert (answer.status_code, said["status"]) == (200, "success"), f"{said.get('error')}: {dict(parameters)}"
        assert not said.get("warnings"), f"{said['warnings']}: {dict(parameters)}"
        return said.get("data")

    async def reconfigure(self, config: str) -> None:
        """Take another configuration; what it says as before goes on."""
        self._config.write_text(config)
        (await self._http.post("/-/reload")).raise_for_status()

    async def _data(self, path: str, **parameters: str) -> dict[str, Any]:
        with contextlib.suppress(httpx.TransportError):
            answer = await self._http.get(path, params=parameters)
            if answer.status_code == 200:
                data: dict[str, Any] = answer.json()["data"]
                return data
        return {}


@asynccontextmanager
async def running_prometheus(config: str, directory: Path, *flags: str) -> AsyncIterator[Prometheus]:
    """A Prometheus with this configuration, `flags` beside the usual ones, and what lies in `directory`/tsdb."""
    file = directory / "prometheus.yml"
    file.write_text(config)
    port = free_port()
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus", "prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-lifecycle",
                *(flags or ("--storage.tsdb.retention.time=1h",)),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                yield Prometheus(http, file)
        finally:
            process.terminate()
            process.wait(10)
