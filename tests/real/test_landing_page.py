"""The landing page in a real Chromium: what a person sees, and that its own security policy blocks none of it."""

import asyncio
import subprocess
from pathlib import Path

from tests.support.programs import program
from tests.support.running import exporting, settings_against, simulated, value


def test_the_landing_page_says_how_polls_go_and_the_browser_has_nothing_to_complain_of(tmp_path: Path) -> None:
    async def run() -> subprocess.CompletedProcess[str]:
        async with simulated() as simulator, exporting(settings_against(simulator, tmp_path)) as exporter:
            await exporter.until(lambda now: value(now, "zohovoice_up") == 1)
            return await asyncio.to_thread(
                subprocess.run,
                [
                    program("chromium", "chromium"),
                    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
                    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                    *("--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'chromium'}"),
                    *("--dump-dom", f"{exporter.url}/"),
                ],
                capture_output=True,
                text=True,
                timeout=60,
            )

    shown = asyncio.run(run())

    assert shown.returncode == 0, shown.stderr
    assert "The last poll worked." in shown.stdout
    complaints = [line for line in shown.stderr.splitlines() if ":CONSOLE" in line]
    assert complaints == []
