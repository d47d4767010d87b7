"""The process that makes reports: what it may cost, what it may see, and that one bad question fails alone."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.reports import frames
from exporter.web.reports.client import Limits, ReportProcess, environment_for_reports
from exporter.web.reports.frames import Task, reply_frames, reply_of, task_frame, task_of
from exporter.web.reports.request import ReportReply, ReportRequest, refused
from exporter.web.reports.worker import answered
from tests.support.reporting import COVERAGE, DAY, HARD, reporting
from tests.support.sample_history import write_sample_history


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_history(tmp_path_factory.mktemp("history"))


def sentence(reply: ReportReply) -> str:
    """Why there is no report."""
    assert reply.content_type == "application/json"
    (text,) = json.loads(reply.body).values()
    return str(text)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is more than what a parent has not yet looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for it."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def at_work(reports: ReportProcess) -> int:
    """The id of the process, once it has begun to count: it has used a tenth of a second of the processor."""
    await until(lambda: reports.pid)
    pid = reports.pid
    assert pid is not None

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    await until(lambda: ticks() >= 40)
    return pid


def run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(test)


# --- its life ---------------------------------------------------------------------------------------------------------


def test_it_is_started_by_the_first_question_and_asked_again_by_the_next(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            assert reports.pid is None
            first = await reports.ask(COVERAGE)
            pid = reports.pid
            assert (first.status, first.content_type) == (200, "application/json")
            assert await reports.ask(COVERAGE) == first
            assert reports.pid == pid is not None
        assert reports.pid is None
        assert not alive(pid)

    run(check())


def test_it_gets_nothing_of_the_environment_but_what_it_needs(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOHOVOICE_AUTH_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    environment = environment_for_reports(os.environ)
    assert "TZ" in environment
    assert not any(name.startswith("ZOHO") for name in environment)

    async def check() -> None:
        async with reporting(database, environment=environment) as reports:
            reply = await reports.ask(ReportRequest("coverage", "json", {"since": ("2025-03-04",)}))
            assert json.loads(reply.body)["meta"]["timezone"] == "Asia/Tokyo"
            seen = Path(f"/proc/{reports.pid}/environ").read_bytes()
            assert b"TZ=Asia/Tokyo" in seen
            assert b"hunter2" not in seen
            assert {entry.partition(b"=")[0].decode() for entry in seen.split(b"\0") if entry} <= set(environment)

    run(check())


def test_it_gives_way_to_the_poll_loop_and_has_limited_memory(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            await reports.ask(COVERAGE)
            assert reports.pid is not None
            assert os.getpriority(os.PRIO_PROCESS, reports.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5
            limits = Path(f"/proc/{reports.pid}/limits").read_text(encoding="ascii")
            (line,) = [line for line in limits.splitlines() if line.startswith("Max address space")]
            assert line.split()[3:5] == [str(Limits().memory_bytes)] * 2
            (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
            assert int(line.split()[3]) <= 1024

    run(check())


def test_it_holds_no_descriptor_of_the_exporter(database: Path, tmp_path: Path) -> None:
    async def check() -> None:
        with (tmp_path / "listening").open("w") as kept:
            os.set_inheritable(kept.fileno(), True)
            async with reporting(database) as reports:
                await reports.ask(COVERAGE)
                targets = [str(entry.readlink()) for entry in Path(f"/proc/{reports.pid}/fd").iterdir()]
        assert all(target.startswith("pipe:") for target in targets), targets

    run(check())


def test_it_ends_when_nothing_was_asked_for_long_and_the_next_question_starts_another(database: Path) -> None:
    async def check() -> None:
        async with reporting(database, idle_s=0.05) as reports:
            first = await reports.ask(COVERAGE)
            await until(lambda: reports.pid is None)
            assert await reports.ask(COVERAGE) == first

    run(check())


def test_it_ends_with_the_process_that_started_it_whatever_that_one_dies_of(database: Path) -> None:
    parent = f"""
import asyncio
from pathlib import Path
from exporter.history.classes import DEFAULT_CLASSES
from exporter.web.reports.client import ReportProcess
from tests.support.reporting import COVERAGE

async def main():
    reports = ReportProcess(Path({str(database)!r}), DEFAULT_CLASSES)
    await reports.ask(COVERAGE)
    print(reports.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    root = str(Path(__file__).parents[1])
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=root) as started:
        assert started.stdout is not None
        pid = int(started.stdout.readline())
        assert alive(pid)
        started.kill()
    asyncio.run(until(lambda: not alive(pid)))


def test_left_alone_with_a_question_it_ends_at_its_time_limit(database: Path) -> None:
    task = task_frame(Task(HARD, database, DEFAULT_CLASSES, "1.2.3", 1_750_000_000_000))
    command = [sys.executable, "-P", "-m", "exporter.web.reports", "0.3", str(1 << 30), "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        frames.write(process.stdin, task)
        assert process.wait(timeout=10) == -signal.SIGALRM


def test_closing_ends_it_at_once_and_refuses_what_was_asked(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            asked = [asyncio.create_task(reports.ask(HARD)) for _ in range(3)]
            pid = await at_work(reports)
            started = time.monotonic()
            await reports.close()
            assert time.monotonic() - started < 1
            assert not alive(pid)
            for reply in [*await asyncio.gather(*asked), await reports.ask(COVERAGE)]:
                assert (reply.status, sentence(reply)) == (503, "the exporter is stopping")
            assert reports.pid is None

    run(check())


def test_closing_what_was_never_asked_does_nothing(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            await reports.close()

    run(check())


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_report_that_takes_too_long_is_given_up_and_the_next_one_is_made(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with reporting(database, seconds=1.0) as reports:
            await reports.ask(COVERAGE)
            pid = reports.pid
            assert pid is not None
            reply = await reports.ask(HARD)
            assert reply.status == 504
            assert sentence(reply) == (
                "this report takes longer than the 1 seconds that one may take and was given up: ask for a shorter "
                "window (since, until), for fewer agents (agent, team), or for longer intervals (step)"
            )
            await until(lambda: not alive(pid))
            assert (await reports.ask(COVERAGE)).status == 200
            assert reports.pid != pid

    run(check())
    assert [record.message for record in caplog.records] == ["a report took too long"]


def test_a_report_that_needs_too_much_memory_fails_alone_with_a_sentence(database: Path) -> None:
    async def check() -> None:
        async with reporting(database, memory_bytes=56 << 20, seconds=60.0) as reports:
            assert (await reports.ask(COVERAGE)).status == 200
            reply = await reports.ask(HARD)
            assert reply.status == 422
            assert sentence(reply).startswith("this report needs more memory than one may have: ask for a shorter ")
            assert (await reports.ask(COVERAGE)).status == 200

    run(check())


def test_a_process_that_is_killed_at_work_costs_the_answer_and_no_more(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            asked = asyncio.create_task(reports.ask(HARD))
            os.kill(await at_work(reports), signal.SIGKILL)
            reply = await asked
            assert reply.status == 500
            assert sentence(reply) == (
                "the process that makes reports ended while it made this one; the log of the exporter says why"
            )
            assert (await reports.ask(COVERAGE)).status == 200

    run(check())


def test_a_process_that_was_killed_while_idle_costs_nothing(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            for _ in range(3):
                assert (await reports.ask(COVERAGE)).status == 200
                assert reports.pid is not None
                os.kill(reports.pid, signal.SIGKILL)

    run(check())


def test_a_process_that_cannot_be_started_is_said_and_tried_again(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        # No system takes an environment of 8 MB in one variable.
        async with reporting(database, environment={"TZ": "x" * (8 << 20)}) as reports:
            for _ in range(2):
                reply = await reports.ask(COVERAGE)
                assert reply.status == 503
                assert dict(reply.headers) == {"retry-after": "30"}
                assert sentence(reply).startswith("the process that makes reports could not be started")

    run(check())
    assert {record.message for record in caplog.records} == {"the process that makes reports could not be started"}


def test_an_answer_that_is_none_ends_the_process_that_gave_it(database: Path, tmp_path: Path) -> None:
    # In its place another program of the same name, whose heads of answers are JSON but not what is agreed on.
    package = tmp_path / "exporter/web/reports"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    for head in (
        "[]",
        "{}",
        '{"status":200,"content_type":"x","headers":7}',
        '{"status":200,"content_type":"x","headers":[7]}',
    ):
        answer = f"len({head!r}).to_bytes(4, 'big') + {head!r}.encode() + bytes(4)"
        (package / "__main__.py").write_text(
            f"import sys\nsys.stdin.buffer.read(1)\nsys.stdout.buffer.write({answer})\n"
            "sys.stdout.flush()\nsys.stdin.buffer.read()\n"
        )

        async def check() -> None:
            async with reporting(database, environment={"PYTHONPATH": str(tmp_path)}) as reports:
                for _ in range(2):
                    reply = await reports.ask(COVERAGE)
                    assert (reply.status, reports.pid) == (500, None)
                    assert sentence(reply).startswith("the process that makes reports ended while it made this one")

        run(check())


def test_who_stops_waiting_gives_up_the_report_and_the_next_one_is_made(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            asked = asyncio.create_task(reports.ask(HARD))
            pid = await at_work(reports)
            asked.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asked
            assert (await reports.ask(COVERAGE)).status == 200
            assert not alive(pid)

    run(check())


def test_who_stops_waiting_before_it_has_started_frees_it_too(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            asked = asyncio.create_task(reports.ask(HARD))
            await asyncio.sleep(0)
            asked.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asked
            started = time.monotonic()
            assert (await reports.ask(COVERAGE)).status == 200
            assert time.monotonic() - started < 3

    run(check())


def test_eight_may_wait_and_more_are_told_to_come_back(database: Path) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            replies = await asyncio.gather(*(reports.ask(COVERAGE) for _ in range(20)))
            assert [reply.status for reply in replies] == [200] * 8 + [503] * 12
            assert len({reply.body for reply in replies[:8]}) == 1
            assert dict(replies[8].headers) == {"retry-after": "5"}
            assert sentence(replies[8]) == (
                "8 reports are waiting to be made, and there can be no more: try again in a moment"
            )
            assert (await reports.ask(COVERAGE)).status == 200

    run(check())


def test_the_loop_turns_while_a_report_is_made(database: Path) -> None:
    async def check() -> None:
        async with reporting(database, seconds=60.0) as reports:
            asked = asyncio.create_task(reports.ask(HARD))
            turns = 0
            while not asked.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert (await asked).status == 200
            # It takes seconds; a loop that stood still would have turned a few times.
            assert turns > 50

    run(check())


def test_what_it_says_goes_to_the_log(tmp_path: Path, database: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with reporting(database) as reports:
            reply = await reports.ask(ReportRequest("nonsense", "json", DAY))
            assert (reply.status, sentence(reply)) == (500, "the report failed; the log of the exporter says why")
            assert (await reports.ask(COVERAGE)).status == 200

    run(check())
    said = [vars(record)["fields"]["text"] for record in caplog.records]
    assert {record.message for record in caplog.records} == {"the process that makes reports says"}
    assert said[0] == "a report failed"
    assert said[-1] == "KeyError: 'nonsense'"


# --- frames and forms -------------------------------------------------------------------------------------------------


def test_a_request_and_an_answer_arrive_as_they_were_sent() -> None:
    request = ReportRequest("timeline", "csv", {"agent": ("Zoë 🎧", "\udcff"), "since": ("",)}, gzip=True)
    task = Task(request, Path("/var/lib/\udcff.db"), DEFAULT_CLASSES, "1.2.3", 17)
    assert task_of(task_frame(task)) == task
    reply = ReportReply(200, "text/csv", b"\0\xff", (("link", "<x>"), ("link", "<y>")))
    assert reply_of(*reply_frames(reply)) == reply


def test_frames_are_read_whole_from_a_pipe_that_gives_little_at_a_time() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as source, os.fdopen(write_end, "wb", buffering=0) as sink:
        os.write(write_end, b"\0\0\0\3ab")
        late = threading.Timer(0.05, sink.write, [b"c\0\0\0\0\0\0\0\1"])
        late.start()
        assert frames.read(source) == b"abc"
        assert frames.read(source) == b""
        late.join()
        sink.close()
        with pytest.raises(frames.Ended):
            frames.read(source)


def test_a_length_that_nothing_has_is_no_frame() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as source, os.fdopen(write_end, "wb") as sink:
        sink.write(b"HTTP/1.1 200 OK")
        sink.flush()
        with pytest.raises(frames.Ended, match="announced"):
            frames.read(source)


def test_a_page_is_refused_in_plain_text_and_the_rest_in_json() -> None:
    assert refused("page", 503, "No.").body == b"No.\n"
    assert refused("page", 503, "No.").content_type == "text/plain; charset=utf-8"
    assert refused("csv", 503, 'Zoë "x"').body == '{"error":"Zoë \\"x\\""}'.encode()


def test_a_form_gets_the_time_the_zone_and_the_version(database: Path) -> None:
    seen = []

    def form(_: object, request: ReportRequest, context: object) -> ReportReply:
        seen.append((request, context))
        return ReportReply(200, "text/plain", b"x" * 2_000)

    request = ReportRequest("timeline", "own", {}, gzip=True)
    reply = answered(Task(request, database, DEFAULT_CLASSES, "1.2.3", 17), ZoneInfo("UTC"), {"own": form})
    assert (reply.status, len(reply.body) < 200, reply.headers) == (200, True, (("content-encoding", "gzip"),))
    ((given, context),) = seen
    assert given is request
    assert repr(context).startswith("WorkerContext(now_ms=17, zone=zoneinfo.ZoneInfo(key='UTC'), classes=Classes(")
