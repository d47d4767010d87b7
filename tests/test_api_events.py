"""GET /api/v1/events: tells at once, after each publication and when the agents become too old; costs nothing else."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.types import ASGIApp, Message

from exporter.model import AVAILABLE
from exporter.web.api.events import EVENTS_PATH
from exporter.web.api.shown import Showing
from exporter.web.app import create_app
from tests.support.metrics import Polled
from tests.support.web import Running, raw, web_state, with_server


class Listener:
    """Reads a stream event by event."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end."""
        found: list[str] = []
        async for line in self._lines:
            if not line:
                return found
            found.append(line)
        return found

    async def event(self) -> tuple[int, Any]:
        """The id and the data of the next event."""
        lines = await asyncio.wait_for(self.block(), 5)
        assert [line.partition(": ")[0] for line in lines] == ["event", "id", "data"], lines
        event, number, data = (line.partition(": ")[2] for line in lines)
        assert event == "poll"
        return int(number), json.loads(data)


@contextlib.asynccontextmanager
async def listening(server: Running) -> AsyncIterator[Listener]:
    """A reader that has been told how soon to come back."""
    async with server.client.stream("GET", EVENTS_PATH) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
        listener = Listener(answer.aiter_lines())
        assert await listener.block() == ["retry: 1000"]
        yield listener


def publish(server: Running, *, good: bool = True) -> None:
    """A poll, and the news of it."""
    if good:
        server.polled.poll({"1": AVAILABLE})
    else:
        server.polled.fail("tls")
    server.state.updates.tell()


def test_it_tells_at_once_and_after_each_poll_what_the_agents_answer_says_in_its_meta() -> None:
    async def check(server: Running) -> None:
        async with listening(server) as listener:
            for number, good in enumerate((None, True, False, True)):
                if good is not None:
                    publish(server, good=good)
                version, data = await listener.event()
                meta = (await server.get("/api/v1/agents")).json()["meta"]
                assert version == data["version"] == number
                assert data == {key: meta[key] for key in meta if key not in ("total", "limit", "offset", "next")}
                assert data["up"] is bool(good)

    with_server(check)


def test_it_tells_when_the_agents_become_too_old_though_nobody_polls() -> None:
    async def check(server: Running) -> None:
        publish(server)
        async with listening(server) as listener:
            assert (await listener.event())[1]["stale"] is False
            server.polled.clock.pass_time(59.9)
            # Four quarters of a minute went by at once; who slept through them says so once.
            assert await listener.block() == [": nothing new"]
            server.polled.clock.pass_time(0.1)
            version, data = await listener.event()
            assert (version, data["stale"], data["up"]) == (1, True, False)
            publish(server)
            assert (await listener.event())[1]["stale"] is False

    with_server(check)


def test_a_comment_comes_each_quarter_of_a_minute_and_not_sooner() -> None:
    async def check(server: Running) -> None:
        async with listening(server) as listener:
            await listener.event()
            for _ in range(3):
                server.polled.clock.pass_time(14.9)
                waiting = asyncio.create_task(listener.block())
                await asyncio.sleep(0.05)
                assert not waiting.done()
                server.polled.clock.pass_time(0.1)
                assert await waiting == [": nothing new"]

    with_server(check)


def test_it_does_nothing_while_there_is_nothing_to_tell() -> None:
    async def check(server: Running) -> None:
        async with listening(server) as listener:
            await listener.event()
            await asyncio.sleep(0.05)
            slept = len(server.polled.clock.slept)
            await asyncio.sleep(0.3)
            assert len(server.polled.clock.slept) == slept

    with_server(check)


def test_it_ends_when_the_program_stops_and_what_is_asked_later_ends_at_once() -> None:
    async def check(server: Running) -> None:
        async with listening(server) as listener:
            await listener.event()
            server.state.updates.close()
            assert await asyncio.wait_for(listener.block(), 5) == []
        async with listening(server) as listener:
            assert await asyncio.wait_for(listener.block(), 5) == []

    with_server(check)


def test_a_hundred_listeners_are_all_told_each_time() -> None:
    async def check(server: Running) -> None:
        async with contextlib.AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(listening(server)) for _ in range(100)]
            for number in range(3):
                told = await asyncio.gather(*(listener.event() for listener in listeners))
                assert {version for version, _ in told} == {number}
                publish(server)

    with_server(check)


def test_head_tells_the_kind_and_does_not_wait() -> None:
    async def check(server: Running) -> None:
        answer = await asyncio.wait_for(server.client.head(EVENTS_PATH), 5)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream"

    with_server(check)


def test_old_http_gets_a_stream_that_ends_with_its_connection() -> None:
    async def check(server: Running) -> None:
        request = f"GET {EVENTS_PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        asking = asyncio.create_task(raw(server.port, request))
        async with asyncio.timeout(5):
            while not server.polled.clock.slept:
                await asyncio.sleep(0.01)
        server.state.updates.close()
        head, _, body = (await asking).partition(b"\r\n\r\n")
        assert b"\r\ncontent-type: text/event-stream" in head
        assert b"chunked" not in head
        assert body.startswith(b"retry: 1000\n\nevent: poll\nid: 0\ndata: {")

    with_server(check)


def test_parameters_are_refused_with_a_sentence() -> None:
    async def check(server: Running) -> None:
        answer = await server.get(f"{EVENTS_PATH}?team=x")
        assert (answer.status_code, answer.json()) == (400, {"error": "this address takes no parameters"})

    with_server(check)


# --- below HTTP: what a server does with a reader that is slow, or gone -----------------------------------------------


class Connection:
    """One request to the application, whose reader takes what is sent when the test says so."""

    def __init__(self, app: ASGIApp) -> None:
        self.sent: list[Message] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self._gone = asyncio.Event()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": EVENTS_PATH,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }

        async def answer() -> None:
            await app(scope, self._receive, self._send)

        self.answering = asyncio.create_task(answer())

    def leave(self) -> None:
        """The reader closes the connection."""
        self._gone.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.001)

    @property
    def told(self) -> list[int]:
        """The ids of the events that were sent."""
        text = b"".join(message.get("body", b"") for message in self.sent).decode()
        return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        await self.ready.wait()


def test_a_slow_reader_is_told_the_newest_and_nothing_waits_for_it() -> None:
    async def check() -> None:
        polled = Polled()
        state = web_state(polled)
        slow, quick = Connection(create_app(state)), Connection(create_app(state))
        await slow.until(lambda: slow.told == [0] and quick.told == [0])
        slow.ready.clear()
        for number in range(1, 51):
            polled.publish()
            state.updates.tell()
            await quick.until(lambda number=number: quick.told[-1] == number)
        assert slow.told == [0, 1]
        slow.ready.set()
        await slow.until(lambda: slow.told == [0, 1, 50])
        for connection in (slow, quick):
            connection.leave()
            await asyncio.wait_for(connection.answering, 5)

    asyncio.run(check())


def test_a_reader_that_is_gone_leaves_nothing_behind_also_if_it_took_nothing() -> None:
    async def check() -> None:
        app = create_app(web_state(Polled()))
        before = asyncio.all_tasks()
        for stuck in (False, True):
            connection = Connection(app)
            await connection.until(lambda connection=connection: connection.told == [0])
            if stuck:
                connection.ready.clear()
            connection.leave()
            await asyncio.sleep(0.01)
            connection.ready.set()
            await asyncio.wait_for(connection.answering, 5)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    asyncio.run(check())


def test_so_many_streams_are_enough_and_who_leaves_makes_room() -> None:
    async def check() -> None:
        app = create_app(web_state(Polled()))
        connections = [Connection(app) for _ in range(100)]
        await connections[-1].until(lambda: all(connection.told == [0] for connection in connections))
        one_more = Connection(app)
        await asyncio.wait_for(one_more.answering, 5)
        assert one_more.sent[0]["status"] == 503
        assert (b"retry-after", b"30") in one_more.sent[0]["headers"]
        connections[0].leave()
        await asyncio.wait_for(connections[0].answering, 5)
        another = Connection(app)
        await another.until(lambda: another.told == [0])
        for connection in (*connections, another):
            connection.leave()
        await asyncio.gather(another.answering, *(connection.answering for connection in connections))

    asyncio.run(check())


def test_what_is_shown_is_one_value_until_something_changes() -> None:
    polled = Polled()
    state = web_state(polled)
    showing = Showing(state)
    first = showing.now()
    assert showing.now() is first
    polled.poll({"1": AVAILABLE})
    second = showing.now()
    assert second is not first
    assert showing.now() is second
    state.updates.tell()
    third = showing.now()
    assert (third.version, third.exposition) == (1, second.exposition)
    polled.clock.pass_time(60)
    assert showing.now().fresh is False
    assert showing.now() is showing.now()


def test_a_client_that_vanishes_without_a_word_is_let_go_when_there_is_something_to_tell() -> None:
    async def check(server: Running) -> None:
        before = len(asyncio.all_tasks())
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"GET {EVENTS_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            async with asyncio.timeout(5):
                while len(asyncio.all_tasks()) == before:
                    await asyncio.sleep(0.01)
        publish(server)
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.01)

    with_server(check)
