"""HTTP/1.1 as the server speaks it, told in bytes. Sources: RFC 9110 and RFC 9112; sections stand beside the cases."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.serving.limits import LIMITS, Limits
from tests.support.serving import Echo, Serving, answers, served, serving, until, whole
from tests.support.web import raw

PLAIN = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def asked(sent: bytes | list[bytes], limits: Limits = LIMITS) -> list[tuple[int, dict[str, str], bytes]]:
    """All answers to these bytes, until the server ends the connection; at most three seconds."""
    found = []

    async def ask(server: Serving) -> None:
        found.extend(answers(await raw(server.port, sent, seconds=3)))

    served(ask, limits)
    return found


def seen(body: bytes) -> Any:
    """What the echo was asked."""
    return json.loads(body)


def test_an_answer_has_a_date_and_a_length_and_names_no_server() -> None:
    ((status, headers, body),) = asked(LAST)
    assert status == 200
    assert set(headers) == {"date", "content-length", "connection"}
    assert headers["date"].endswith(" GMT")
    assert headers["connection"] == "close"
    assert seen(body) == {"method": "GET", "path": "/last", "query": "", "host": ["a"], "body": ""}


def test_requests_of_one_connection_are_answered_in_order_however_they_arrive() -> None:
    sent = PLAIN + b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + PLAIN * 20 + LAST
    for pieces in ([sent], [sent[at : at + 7] for at in range(0, len(sent), 7)]):
        found = asked(pieces)
        assert [seen(body)["path"] for _, _, body in found] == ["/plain", "/body", *["/plain"] * 20, "/last"]
        assert seen(found[1][2])["body"] == "abc"


def test_a_request_behind_one_that_takes_long_waits_for_its_turn() -> None:
    async def check(server: Serving) -> None:
        waiting = asyncio.ensure_future(raw(server.port, b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN + LAST))
        await until(lambda: server.echo.asked == ["/held"])
        await asyncio.sleep(0.05)
        assert server.echo.asked == ["/held"]
        server.echo.release.set()
        found = answers(await waiting)
        assert [seen(body)["path"] for _, _, body in found] == ["/held", "/plain", "/last"]

    served(check)


def test_more_than_is_kept_ahead_is_dropped_and_the_connection_ends_after_the_answer_at_hand() -> None:
    async def check(server: Serving) -> None:
        waiting = asyncio.ensure_future(raw(server.port, b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN * 200))
        await until(lambda: server.echo.asked == ["/held"])
        server.echo.release.set()
        (answer,) = answers(await waiting)
        assert answer[1]["connection"] == "close"
        assert server.echo.asked == ["/held"]

    served(check, Limits(ahead_bytes=1_000))


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"/a?b=c&d", "/a", "b=c&d", "field"),
        (b"//a/../b", "//a/../b", "", "field"),  # nothing is resolved: paths are names here
        (b"/%2e%2e/%00/%c3%a9/%ff", "/../\0/é/�", "", "field"),
        (b"/?", "/", "", "field"),
        (b"http://other:81/a?b", "/a", "b", "other:81"),  # RFC 9112, 3.2.2: the Host field is ignored
        (b"HTTP://other", "/", "", "other"),
        (b"http://other?b", "/", "b", "other"),
        (b"https://[::1]:1/", "/", "", "[::1]:1"),
    ],
)
def test_a_target_is_read(target: bytes, path: str, query: str, host: str) -> None:
    ((status, _, body),) = asked(b"GET " + target + b" HTTP/1.1\r\nHost: field\r\nConnection: close\r\n\r\n")
    assert status == 200
    assert seen(body) == {"method": "GET", "path": path, "query": query, "host": [host], "body": ""}


def request(line: bytes = b"GET / HTTP/1.1", *fields: bytes, body: bytes = b"") -> bytes:
    """A request with a Host field and more."""
    return b"\r\n".join([line, b"Host: a", *fields, b"", body])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS on a port without it"),
        pytest.param(b"\0\0\0\0", 400, id="NUL"),
        pytest.param(b"hello\r\n\r\n", 400, id="no request"),
        pytest.param(request(b"GET /"), 505, id="HTTP/0.9"),
        pytest.param(request(b"GET / HTTP/0.9"), 505, id="said to be HTTP/0.9"),
        pytest.param(request(b"GET / HTTP/1.2"), 400, id="HTTP/1.2"),
        pytest.param(request(b"GET / HTTP/2.0"), 505, id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 without asking"),
        pytest.param(request(b"FROB / HTTP/1.1"), 501, id="unknown method"),
        pytest.param(request(b"get / HTTP/1.1"), 501, id="method in lower case"),
        pytest.param(request(b"CONNECT a:443 HTTP/1.1"), 501, id="CONNECT"),
        pytest.param(request(b"GET * HTTP/1.1"), 400, id="asterisk without OPTIONS"),
        pytest.param(request(b"GET a HTTP/1.1"), 400, id="target without a slash"),
        pytest.param(request(b"GET ftp://a/ HTTP/1.1"), 400, id="target of another scheme"),
        pytest.param(request(b"GET http:///a HTTP/1.1"), 400, id="target without a host"),
        pytest.param(request(b"GET http://u:p@a/ HTTP/1.1"), 400, id="target with a user"),
        pytest.param(request(b"GET /a#b HTTP/1.1"), 400, id="target with a fragment"),
        pytest.param(request(b"GET /a b HTTP/1.1"), 400, id="space in the target"),
        pytest.param(request(b"GET /\0 HTTP/1.1"), 400, id="NUL in the target"),
        pytest.param(request("GET /é HTTP/1.1".encode()), 400, id="non-ASCII in the path"),
        pytest.param(request("GET /?é HTTP/1.1".encode()), 400, id="non-ASCII in the query"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no Host (9112, 3.2)"),
        pytest.param(request(b"GET / HTTP/1.1", b"Host: a"), 400, id="Host twice"),
        pytest.param(request(b"GET / HTTP/1.0", b"Host: b"), 400, id="Host twice in 1.0"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, id="Host with a space"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, id="Host with a path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, id="Host with a user"),
        pytest.param(request(b"GET / HTTP/1.1", b"X : a"), 400, id="space before the colon (9112, 5.1)"),
        pytest.param(request(b"GET / HTTP/1.1", b"X: a\r\n b"), 400, id="folded field (9112, 5.2)"),
        pytest.param(request(b"GET / HTTP/1.1", b"X"), 400, id="field without a colon"),
        pytest.param(request(b"GET / HTTP/1.1", b": a"), 400, id="field without a name"),
        pytest.param(request(b"GET / HTTP/1.1", b"X: \0"), 400, id="NUL in a field"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", 400, id="lines without CR"),
        pytest.param(b"GET / HTTP/1.1\rHost: a\r\r", 400, id="lines without LF"),
        pytest.param(request(b"POST / HTTP/1.1", b"Content-Length: -1"), 400, id="negative length"),
        pytest.param(request(b"POST / HTTP/1.1", b"Content-Length: +1"), 400, id="length with a sign"),
        pytest.param(request(b"POST / HTTP/1.1", b"Content-Length: 1, 1"), 400, id="two lengths in one"),
        pytest.param(request(b"POST / HTTP/1.1", b"Content-Length: 9" + b"9" * 30), 400, id="length beyond counting"),
        pytest.param(request(b"POST / HTTP/1.1", b"Content-Length: 1", b"Content-Length: 1"), 400, id="two lengths"),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked"),
            400,
            id="length, then chunks: smuggling (9112, 6.1)",
        ),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 1"),
            400,
            id="chunks, then length: smuggling",
        ),
        pytest.param(
            request(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400, id="chunks in 1.0"
        ),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501, id="gzip coding"
        ),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
            400,
            id="chunked twice",
        ),
        pytest.param(request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunkedx"), 501, id="like chunked"),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", body=b"x\r\n"), 400, id="chunk without a size"
        ),
        pytest.param(
            request(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", body=b"1\r\nab\r\n"), 400, id="chunk too long"
        ),
    ],
)
def test_a_bad_request_is_refused_in_plain_text_and_ends_the_connection(sent: bytes, status: int) -> None:
    async def check(server: Serving) -> None:
        ((got, headers, body),) = answers(await raw(server.port, sent, seconds=3))
        assert got == status
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert headers["connection"] == "close"
        assert body.endswith(b".\n")
        assert server.echo.asked == []
        assert server.refused == [status]

    served(check)


def test_a_bad_request_behind_a_good_one_takes_nothing_from_it() -> None:
    first, second = asked(PLAIN + b"\0")
    assert (first[0], second[0]) == (200, 400)


def test_a_parser_never_lets_the_rest_of_a_refused_connection_through() -> None:
    async def check(server: Serving) -> None:
        sent = request(b"POST / HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
        assert [status for status, _, _ in answers(await raw(server.port, [sent, PLAIN, PLAIN]))] == [400]
        assert server.echo.asked == []

    served(check)


def test_a_body_in_chunks_is_put_together_and_its_trailers_count_for_nothing() -> None:
    sent = (
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'3\r\nabc\r\n2;key="value"\r\nde\r\n0\r\nHost: b\r\nTrailer: x\r\n\r\n'
    )
    for pieces in ([sent, LAST], [bytes([byte]) for byte in sent] + [LAST]):
        first, last = asked(pieces)
        assert seen(first[2]) == {"method": "POST", "path": "/body", "query": "", "host": ["a"], "body": "abcde"}
        assert seen(last[2])["path"] == "/last"


def test_the_end_of_chunks_is_found_wherever_it_stands() -> None:
    sent = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"
    for pieces in ([sent + LAST], [sent[:-1], sent[-1:] + LAST]):
        first, last = asked(pieces)
        assert (seen(first[2])["body"], seen(last[2])["path"]) == ("\r\n\r\n", "/last")


def test_a_client_that_waits_to_be_told_is_told_to_go_on() -> None:
    async def check(server: Serving) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(b"POST /body HTTP/1.1", b"Content-Length: 3", b"Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc" + LAST)
        first, _ = answers(await reader.read())
        assert seen(first[2])["body"] == "abc"
        writer.close()

    served(check)


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_an_upgrade_is_answered_as_if_there_was_none(upgrade: bytes) -> None:
    sent = request(b"POST /up HTTP/1.1", b"Connection: Upgrade", b"Upgrade: " + upgrade, b"Content-Length: 3")
    ((status, headers, body),) = asked(sent + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (status, seen(body)["path"]) == (200, "/up")
    assert headers["connection"] == "close"


def test_http_1_0_needs_no_host_and_ends_after_one_answer() -> None:
    ((status, headers, body),) = asked(b"GET /old HTTP/1.0\r\n\r\n" + PLAIN)
    assert (status, seen(body)["path"], headers["connection"]) == (200, "/old", "close")


def test_options_for_the_whole_server_go_through_the_application() -> None:
    first, _ = asked(request(b"OPTIONS * HTTP/1.1") + LAST)
    assert (first[0], seen(first[2])["method"], seen(first[2])["path"]) == (200, "OPTIONS", "*")


def test_methods_that_the_parser_knows_are_left_to_the_application() -> None:
    for method in (b"TRACE", b"DELETE", b"PROPFIND"):
        ((_, _, body),) = asked(request(method + b" / HTTP/1.1", b"Connection: close"))
        assert seen(body)["method"] == method.decode()


def test_head_is_answered_with_the_head_alone() -> None:
    async def check(server: Serving) -> None:
        received = await raw(server.port, request(b"HEAD / HTTP/1.1", b"Connection: close"))
        head, _, rest = received.partition(b"\r\n\r\n")
        assert b"content-length: 7" in head or b"content-length: 6" in head
        assert rest == b""

    served(check)


def test_a_stream_has_no_length_and_is_sent_as_it_comes() -> None:
    async def check(server: Serving) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(b"GET /stream HTTP/1.1"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        server.echo.release.set()
        assert await reader.readexactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"
        writer.write(LAST)
        assert b"200 OK" in await reader.read()
        writer.close()

    served(check)


def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    async def check(server: Serving) -> None:
        server.echo.release.set()
        received = await raw(server.port, request(b"GET /stream HTTP/1.0"))
        assert b"transfer-encoding" not in received
        assert received.endswith(b"\r\n\r\nonetwo")

    served(check)


def test_a_stream_is_told_that_its_client_has_gone() -> None:
    async def check(server: Serving) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(b"GET /stream HTTP/1.1"))
        await until(lambda: server.echo.asked == ["/stream"])
        writer.close()
        await until(lambda: server.echo.gone == 1)

    served(check)


def test_a_client_that_closes_its_half_early_gets_its_whole_answer() -> None:
    async def check(server: Serving) -> None:
        server.echo.body = b"x" * 3_000_000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(b"GET /big HTTP/1.1"))
        writer.write_eof()
        await asyncio.sleep(0.05)
        ((status, _, body),) = answers(await reader.read())
        assert (status, len(body)) == (200, 3_000_000)
        writer.close()

    served(check)


def test_a_request_that_ends_in_the_middle_is_refused() -> None:
    async def check(server: Serving) -> None:
        for sent in (b"GET / HT", request(b"POST / HTTP/1.1", b"Content-Length: 5", body=b"ab")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            writer.write_eof()
            ((status, _, body),) = answers(await reader.read())
            assert (status, body) == (400, b"The request ended in the middle.\n")
            writer.close()

    served(check)


def test_an_application_that_answers_wrongly_costs_its_connection_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong: list[list[dict[str, Any]]] = [
        [],
        [{"type": "http.response.start", "status": 200, "headers": []}],
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]},
            {"type": "http.response.body", "body": b"ab"},
        ],
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nSet-Cookie: b")]},
            {"type": "http.response.body", "body": b""},
        ],
    ]

    async def check() -> None:
        echo = Echo()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan" or scope["path"] == "/plain":
                await echo(scope, receive, send)
                return
            for message in wrong[int(scope["path"][1:])]:
                await send(message)

        async with serving(app=app) as server:
            for number in range(len(wrong)):
                answer = await raw(server.port, request(b"GET /%d HTTP/1.1" % number))
                assert b"ab" not in answer
                assert b"Cookie" not in answer
            assert (await raw(server.port, PLAIN.replace(b"1.1", b"1.0"))).startswith(b"HTTP/1.1 200")

    asyncio.run(check())


WORDS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/", b"*", b"http://a", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r"),
        *(b"Host: a", b"Host: b", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close"),
        *(b"Connection: upgrade", b"Upgrade: x", b"X: y", b"abc", b"0", b"3", b"\0", b"\xff", b" ", PLAIN, LAST),
    ]
)


@given(st.lists(WORDS, max_size=30).map(b"".join), st.lists(st.integers(0, 400), max_size=12))
def test_how_bytes_are_cut_changes_nothing(sent: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    pieces = [sent[start:end] for start, end in itertools.pairwise(at)]
    assert whole(pieces) == whole([sent])
    # Who sends the same again is known again.
    assert whole(pieces * 2) == whole([sent * 2])


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (b"GET /plain HTTP/1.1\r\nHost: a\r\n", b"\r\n"),
        (b"GET /plain HTTP/1.1\r\nX: ", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"POST /plain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
    ],
    ids=["a line end", "a whole request", "the last chunk"],
)
@pytest.mark.parametrize("in_two", [True, False])
def test_the_end_of_a_request_is_not_taken_for_that_request_when_it_comes_alone(
    begin: bytes, end: bytes, in_two: bool
) -> None:
    before = [begin, end] if in_two else [begin + end]
    once, alone = whole(before), whole([end])
    assert len(once) == 1
    assert whole([*before, end]) == once + alone


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused_and_never_a_crash(sent: bytes) -> None:
    whole([sent])
    whole([b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", sent])
    whole([b"GET / HTTP/1.1\r\nHost: " + sent + b"\r\n\r\n"])
    whole([b"GET /" + sent + b" HTTP/1.1\r\nHost: a\r\n\r\n"])
