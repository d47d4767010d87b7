"""What a check has found as a report, and which command helps. Pure."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exporter.history.care.check import DERIVED
from exporter.history.care.findings import Finding, Result
from exporter.report.model import Column, ColumnKind, Report

COLUMNS: Final = (Column("check"), Column("result"), Column("detail"))


def report(found: Sequence[Finding], path: Path, now_ms: int) -> Report:
    """The findings as rows: `result` is ok, failed or info."""
    meta: dict[str, object] = {
        "report": "check",
        "at": now_ms,
        "timezone": "UTC",
        "database": str(path),
        "failed": sum(finding.result is Result.FAILED for finding in found),
    }
    rows = [{"check": check, "result": result.value, "detail": detail} for check, result, detail in found]
    return Report(meta, COLUMNS, rows, {"at": ColumnKind.INSTANT})


def advice(found: Sequence[Finding], path: Path) -> str:
    """What to do about what has failed; empty if nothing has."""
    failed = [finding.check for finding in found if finding.result is Result.FAILED]
    if not failed:
        return ""
    quoted = shlex.quote(str(path))
    if failed == [DERIVED]:
        return (
            f"what is derived in the history database {path} is not what its facts say, so reports may be wrong:"
            f" run zohovoice-exporter history rebuild --db {quoted} to make it anew"
        )
    return (
        f"the history database {path} is damaged ({', '.join(failed)}) and is left as it is:"
        f" run zohovoice-exporter history export --db {quoted} to save what can be read, then restore a backup"
    )
