"""A server that hands out prepared status chunks as fast as it can, so that a benchmark measures the client alone.

Run as `python -m tests.benchmarks.chunk_server AGENTS CHUNK`; prints its port. One status in twenty is another one in
each later poll, so that a poll brings transitions. It ends when its standard input does.
"""

import asyncio
import json
import sys
from typing import Final

WORDS: Final = ("Available", "On Call", "Offline", "On Break", "Busy")
FIRST_ID: Final = 40_126_507_412_780_000


def agent_ids(agents: int) -> list[str]:
    """The ids that the server knows."""
    return [str(FIRST_ID + place) for place in range(agents)]


def status_word(place: int, turn: int) -> str:
    """Which status an agent has in a poll: one in twenty moves on at each."""
    return WORDS[(place + (turn + place) // 20) % len(WORDS)]


def chunk_body(ids: list[str], turn: int) -> bytes:
    """The answer for some agents."""
    rows = [{"agentId": i, "onlineStatus": status_word(int(i) - FIRST_ID, turn)} for i in ids]
    return json.dumps({"code": "200", "status": "SUCCESS", "onlineStatus": rows}).encode()


class ChunkServer:
    """Keep-alive HTTP/1.1 by hand: nothing but what the benchmark needs."""

    def __init__(self, agents: int, chunk: int) -> None:
        ids = agent_ids(agents)
        self._first_of_chunk = {ids[start]: start // chunk for start in range(0, agents, chunk)}
        self._bodies = [
            [self._response(chunk_body(ids[start : start + chunk], turn)) for start in range(0, agents, chunk)]
            for turn in range(4)
        ]
        self._turns = [0] * len(self._first_of_chunk)
        self._token = self._response(b'{"access_token":"1000.bench","expires_in":3600,"token_type":"Bearer"}')

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"POST"):
                    length = next(
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    )
                    await reader.readexactly(length)
                    writer.write(self._token)
                    continue
                query = head.split(b" ", 2)[1].split(b"agentIds=", 1)[1].decode()
                chunk = self._first_of_chunk[query.replace("%2C", ",").split(",", 1)[0]]
                turn = self._turns[chunk]
                self._turns[chunk] = (turn + 1) % 4
                writer.write(self._bodies[turn][chunk])
        except asyncio.IncompleteReadError:
            writer.close()

    @staticmethod
    def _response(body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def main(agents: int, chunk: int) -> None:
    """Serve until standard input ends."""
    server = await asyncio.start_server(ChunkServer(agents, chunk).answer, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
