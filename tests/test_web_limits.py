"""Sizes, times and numbers beyond which a client is refused or cut off. The times are short here."""

import asyncio
import contextlib
import errno
import gc
import logging
import socket
import ssl
import time
from pathlib import Path

import pytest

from exporter.settings import WebSettings
from exporter.web.concurrency import others
from exporter.web.serving.connections import Connections
from exporter.web.serving.limits import LIMITS, Limits
from exporter.web.serving.listen import ListenAddress, bind
from tests.support.certificates import LOCAL, authority
from tests.support.serving import LOOPS, Echo, Serving, answers, served, serving, until, whole
from tests.support.told_in_log import fields_of
from tests.support.web import raw

PLAIN = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SHORT = Limits(head_s=0.3, body_s=0.3, idle_s=0.3, taken_s=0.5, linger_s=0.2, handshake_s=0.3)


def padded(size: int) -> bytes:
    """A request whose head is exactly so many bytes."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: %b\r\n\r\n"
    return request % (b"x" * (size - len(request) + 2))


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    async def check(server: Serving) -> None:
        for cut in (40_000, 1_000):
            for size, status in ((LIMITS.head_bytes, 200), (LIMITS.head_bytes + 1, 431)):
                sent = padded(size)
                assert len(sent) == size
                pieces = [sent[at : at + cut] for at in range(0, size, cut)]
                assert [answer[0] for answer in answers(await raw(server.port, pieces))] == [status]
        assert server.refused == [431, 431]

    served(check)


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        (b"GET /" + b"a" * 8_191 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, b""),
        (b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, b"The target is longer than 8192 bytes.\n"),
        (b"GET /" + b"a" * 50_000, 414, b"The target is longer than 8192 bytes.\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 50_000, 431, b"The head is longer than 32768 bytes.\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * 50_000, 431, b"The head is longer than 32768 bytes.\n"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"X: a\r\n" * 98 + b"\r\n",
            200,
            b"",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"X: a\r\n" * 99 + b"\r\n",
            431,
            b"The head has more than 100 fields.\n",
        ),
        (b"\r\n" * 20_000, 431, b"The head is longer than 32768 bytes.\n"),
    ],
    ids=[
        "target at the limit",
        "target over it",
        "endless target",
        "endless value",
        "endless name",
        "fields at the limit",
        "a field too many",
        "endless empty lines",
    ],
)
def test_what_is_too_long_in_a_head_is_refused(sent: bytes, status: int, sentence: bytes) -> None:
    async def check(server: Serving) -> None:
        ((got, _, body),) = answers(await raw(server.port, sent))
        assert got == status
        assert not sentence or body == sentence

    served(check)
    # The same in small pieces.
    pieces = [sent[at : at + 1_000] for at in range(0, len(sent), 1_000)]
    assert whole(pieces)[-1] == status if sentence else len(whole(pieces)) == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_head_without_end_costs_no_memory(loop: str) -> None:
    async def check(server: Serving) -> None:
        writers = []
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * 30_000)
            writers.append(writer)
        await asyncio.sleep(0.2)
        before = resident()
        for _ in range(20):
            for writer in writers:
                if not writer.is_closing():
                    writer.write(b"a" * 100_000)
            await asyncio.sleep(0)
        await until(lambda: len(server.refused) == 20)
        # 40 MB were on their way.
        assert resident() - before < 8_000_000
        for writer in writers:
            writer.transport.abort()

    served(check, Limits(linger_s=1), loop=loop)


def resident() -> int:
    """The memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        (b"Content-Length: 65536", b"a" * 65_536, 200),
        (b"Content-Length: 65537", b"", 413),
        (b"Transfer-Encoding: chunked", b"10000\r\n" + b"a" * 65_536 + b"\r\n0\r\n\r\n", 200),
        (b"Transfer-Encoding: chunked", b"10001\r\n" + b"a" * 65_537, 413),
        (b"Transfer-Encoding: chunked", b"1\r\na\r\n" * 20_000, 413),
        (b"Transfer-Encoding: chunked", b"1\r\na\r\n" * 1_900 + b"0\r\n\r\n", 200),
        (b"Transfer-Encoding: chunked", b"1\r\na\r\n" * 2_100 + b"0\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked", b"1;" + b"a" * 200_000, 413),
        (b"Transfer-Encoding: chunked", b"0\r\nX: " + b"a" * 200_000, 413),
        (b"Transfer-Encoding: chunked", b"0\r\n" + b"X: a\r\n" * 40_000, 413),
    ],
    ids=[
        "length at the limit",
        "length over it",
        "chunks at the limit",
        "chunks over it",
        "many small chunks",
        "a body of small chunks",
        "a body of too many chunks",
        "endless extension",
        "endless trailer",
        "many trailers",
    ],
)
def test_what_is_too_long_in_a_body_is_refused(fields: bytes, body: bytes, status: int) -> None:
    async def check(server: Serving) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + b"\r\n\r\n"
        ((got, _, _),) = answers(await raw(server.port, [head, body]))
        assert got == status

    served(check)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ([b"GET / HTTP/1.1\r\n"], 408),
        ([PLAIN, b"G"], 408),
        ([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"], 408),
        ([b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], 408),
        ([], None),
        ([PLAIN], None),
        ([b"\r\n"], None),
    ],
    ids=["head", "second head", "body", "chunks", "nothing", "next request", "an empty line"],
)
def test_who_takes_too_long_is_told_or_let_go(sent: list[bytes], status: int | None) -> None:
    async def check(server: Serving) -> None:
        began = time.monotonic()
        found = answers(await raw(server.port, sent))
        assert 0.25 < time.monotonic() - began < 2
        assert [answer[0] for answer in found if answer[0] != 200] == ([] if status is None else [status])
        assert server.refused == ([] if status is None else [status])

    served(check, SHORT)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_byte_now_and_then_wins_no_time(loop: str) -> None:
    async def check(server: Serving) -> None:
        for start, drop in ((b"GET / HTTP/1.1\r\nX: ", b"a"), (PLAIN[:-2] + b"Content-Length: 60000\r\n\r\n", b"b")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            began = time.monotonic()
            writer.write(start)
            answer = asyncio.ensure_future(reader.read())
            while not answer.done():
                writer.write(drop)
                await asyncio.wait([answer], timeout=0.02)
            assert b"408" in answer.result()
            assert time.monotonic() - began < 2
            writer.close()

    served(check, SHORT, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_does_not_read_is_cut_off_and_one_that_reads_slowly_is_not(loop: str) -> None:
    async def check(server: Serving) -> None:
        server.echo.body = b"x" * 20_000_000
        asking = b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with socket.socket() as deaf, socket.socket() as slow:
            for sock in (deaf, slow):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
                await asyncio.get_running_loop().sock_sendall(sock, asking)
            got, began = 0, time.monotonic()
            while some := await asyncio.get_running_loop().sock_recv(slow, 400_000):
                got += len(some)
                # Slower than the time limit for everything, faster than the one for each piece.
                if time.monotonic() - began < 2:
                    await asyncio.sleep(0.05)
            assert got > 20_000_000
            got = 0
            with contextlib.suppress(ConnectionResetError):
                while some := await asyncio.get_running_loop().sock_recv(deaf, 1_000_000):
                    got += len(some)
            assert got < 10_000_000  # what the system held

    served(check, SHORT, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_who_asks_again_and_again_and_reads_nothing_is_not_answered_into_memory(
    loop: str, secure: bool, tmp_path: Path
) -> None:
    asking = PLAIN.replace(b"plain", b"big")

    async def check(server: Serving) -> None:
        server.echo.body = b"x" * 100_000
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=trusting_all() if secure else None, limit=1_000
        )
        writer.write(asking * 300 + LAST)
        before = -1
        while before < len(server.echo.asked):
            before = len(server.echo.asked)
            await asyncio.sleep(0.2)
        # What the system holds for it, and a little more; not thirty megabytes.
        assert before < 150
        # Once it reads, it gets everything, in order.
        received = await asyncio.wait_for(reader.read(), 20)
        assert received.count(b"HTTP/1.1 200 OK") == 301
        assert received.count(b"x") == 300 * 100_000
        assert server.echo.asked == ["/big"] * 300 + ["/last"]
        writer.close()

    served(check, tls=server_context(tmp_path) if secure else None, loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_connections_that_answer_no_good_bye_are_cut_before_they_are_many(loop: str, tmp_path: Path) -> None:
    async def check() -> None:
        made: list[asyncio.BaseTransport] = []

        def admit(transport: asyncio.BaseTransport) -> bool:
            made.append(transport)
            return True

        async with serving(Limits(connections=10, leaving=5), tls=server_context(tmp_path), admit=admit) as server:
            clients = []
            for _ in range(40):
                # This one's side of TLS does nothing unless it is told to: it never says good-bye.
                plain = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port))
                clients.append(await asyncio.to_thread(trusting_all().wrap_socket, plain))
                await asyncio.sleep(0.01)
            await until(lambda: len(made) == 40)
            assert await asyncio.to_thread(still_open, clients) <= 16
            for client in clients:
                client.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(check())


def still_open(clients: list[ssl.SSLSocket]) -> int:
    """How many of these connections the server has not closed, as the system has it."""
    tcp_info, established = 11, 1
    return sum(client.getsockopt(socket.IPPROTO_TCP, tcp_info, 1) == bytes([established]) for client in clients)


def trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_connection_that_cannot_be_looked_at_is_not_the_end_of_time_outs(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        """In the place of a connection."""

        aborted = False

        def check(self, now: float) -> None:
            raise ValueError(now)

        def abort(self) -> None:
            self.aborted = True

    async def check() -> None:
        broken = Broken()
        connections = Connections(Echo(), SHORT)
        connections.open.add(broken)  # type: ignore[arg-type] # no real one is known to do this
        sweeping = asyncio.ensure_future(connections.sweep())
        await until(lambda: broken.aborted)
        await asyncio.sleep(SHORT.sweep_s * 2)
        assert not sweeping.done()
        sweeping.cancel()

    asyncio.run(check())
    assert "could not be looked at" in caplog.text


@pytest.mark.parametrize("loop", LOOPS)
def test_one_connection_more_than_there_may_be_costs_the_longest_idle_one(loop: str) -> None:
    async def check(server: Serving) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        for reader, writer in held:
            writer.write(PLAIN)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.01)  # the loop's clock ticks in milliseconds
        assert b"200 OK" in await raw(server.port, LAST)
        assert await asyncio.wait_for(held[0][0].read(), 2) != b"200"
        for reader, writer in held[1:]:
            writer.write(LAST)
            assert (await reader.read()).count(b"200 OK") == 1
        for _, writer in held:
            writer.close()

    served(check, Limits(connections=3), loop=loop)


def test_while_all_connections_are_being_answered_one_more_is_refused() -> None:
    async def check(server: Serving) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        for _, writer in held:
            writer.write(PLAIN.replace(b"plain", b"held"))
        await until(lambda: len(server.echo.asked) == 3)
        ((status, headers, _),) = answers(await raw(server.port, PLAIN))
        assert (status, headers["content-type"]) == (503, "text/plain; charset=utf-8")
        assert server.refused == [503]
        server.echo.release.set()
        for reader, writer in held:
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    served(check, Limits(connections=3))


def test_clients_that_dawdle_do_not_keep_others_out() -> None:
    async def check(server: Serving) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        for _, writer in slow:
            writer.write(b"GET / HT")
        await asyncio.sleep(1.1)
        assert b"200 OK" in await raw(server.port, LAST)
        for _, writer in slow:
            writer.transport.abort()

    served(check, Limits(connections=3))


@pytest.mark.parametrize("loop", LOOPS)
def test_handshakes_that_are_never_begun_delay_nobody_and_use_up_nothing(tmp_path: Path, loop: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer = authority(tmp_path)
    context.load_cert_chain(*issuer.issue("server", LOCAL).pair)
    trusting = ssl.create_default_context(cafile=str(issuer.certificate))

    async def check(server: Serving) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(100)]
        for _ in range(3):
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=trusting, server_hostname="localhost"
            )
            writer.write(LAST)
            assert b"200 OK" in await reader.read()
            assert time.monotonic() - began < 1
            writer.close()
        # Fifty may shake hands at once: of the hundred, those that came first are gone.
        assert await asyncio.wait_for(idle[0][0].read(), 2) == b""
        # The others go when their time is over.
        assert await asyncio.wait_for(idle[-1][0].read(), 5) == b""
        for _, writer in idle:
            writer.close()

    served(check, Limits(handshakes=50, handshake_s=1), tls=context, loop=loop)


def server_context(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority(directory).issue("server", LOCAL).pair)
    return context


@pytest.mark.parametrize("loop", LOOPS)
def test_why_a_handshake_failed_is_told_to_who_wants_to_know(
    tmp_path: Path, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "exporter")

    async def check(server: Serving) -> None:
        await raw(server.port, PLAIN)
        await until(lambda: bool(caplog.records))

    served(check, tls=server_context(tmp_path), loop=loop)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("DEBUG", "a TLS handshake failed")
    assert "HTTP_REQUEST" in fields_of(record)["error"]


def test_where_the_system_has_no_more_descriptors_it_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Exhausted(socket.socket):
        """Has no descriptor for a new connection at first."""

        failures = 2

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def check() -> None:
        (bound,) = bind([ListenAddress("127.0.0.1", 0)])
        listener = Exhausted(fileno=bound.detach())
        async with serving(tls=server_context(tmp_path), listener=listener) as server:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            writer.write(LAST)
            assert b"200 OK" in await reader.read()
            writer.close()

    asyncio.run(check())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "no connection can be accepted for now")
    ]


def test_a_connection_that_is_not_admitted_is_cut_before_anything_is_answered() -> None:
    async def check() -> None:
        async with serving(admit=lambda transport: False) as server:
            assert await raw(server.port, PLAIN) == b""
            assert server.echo.asked == []

    asyncio.run(check())


def test_what_is_being_answered_when_the_server_stops_is_finished_and_what_hangs_is_cut() -> None:
    async def check() -> None:
        echo = Echo()
        async with serving(Limits(shutdown_s=1), app=echo) as server:
            finished = asyncio.ensure_future(raw(server.port, PLAIN.replace(b"plain", b"held") + PLAIN))
            hanging = asyncio.ensure_future(raw(server.port, PLAIN.replace(b"plain", b"stream")))
            idle = asyncio.ensure_future(raw(server.port, PLAIN))
            await until(lambda: sorted(echo.asked) == ["/held", "/plain", "/stream"])
            asyncio.get_running_loop().call_later(0.3, echo.release.set)
            began = time.monotonic()
        assert time.monotonic() - began < 2
        # Nothing that was asked for behind it is answered any more.
        ((status, headers, _),) = answers(await finished)
        assert (status, headers["connection"]) == (200, "close")
        assert (await hanging).endswith(b"0\r\n\r\n")
        await idle

    asyncio.run(check())


def test_the_documentation_has_the_numbers_in_force() -> None:
    said = (Path(__file__).parents[1] / "docs" / "web.md").read_text("utf-8")
    rows = {
        line.split("|")[1].strip(): line.split("|")[2].strip() for line in said.splitlines() if line.count("|") == 4
    }
    assert {
        "connections at once": f"{LIMITS.connections}",
        "TLS handshakes at once": f"{LIMITS.handshakes}",
        "target of a request (path and query)": f"{LIMITS.target_bytes // 1024} KiB",
        "head of a request, with the target": f"{LIMITS.head_bytes // 1024} KiB, {LIMITS.fields} fields",
        "body of a request": f"{LIMITS.body_bytes // 1024} KiB; in chunks, 4,000 lines",
        "connections being closed, beyond those": f"{LIMITS.leaving}",
        "requests sent ahead of the answer at hand": f"{LIMITS.ahead_bytes // 1024} KiB",
        "TLS handshake": f"{LIMITS.handshake_s:g} s",
        "head, from the connection or its first byte to its end": f"{LIMITS.head_s:g} s",
        "body, from the end of the head to its own": f"{LIMITS.body_s:g} s",
        "between two requests of a connection": f"{LIMITS.idle_s:g} s",
        "taking the answer": f"{LIMITS.taken_bytes // 1024} KiB in {LIMITS.taken_s:g} s, or all that is left of it",
        "finishing an answer after SIGTERM": f"{LIMITS.shutdown_s:g} s",
        "requests being answered at once, `--web.max-requests` (0: no limit)": f"{WebSettings().max_requests}",
        "of them for what is no scrape": f"{others(WebSettings().max_requests)}: all but a quarter",
    }.items() <= rows.items()
