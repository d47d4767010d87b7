"""A TLS context for listeners that can be exchanged while they listen."""

import ssl
from collections.abc import Callable
from typing import Any


class ChangingContext(ssl.SSLContext):
    """Lets every new connection use the context that is the current one then; connections that stand keep theirs.

    A listener keeps the context that it was given, and what can be changed in a context takes half effect: a new
    certificate stands beside the old one, a client CA cannot be taken away. asyncio and uvloop begin each connection
    with `wrap_bio`. This context itself has no certificate: used in any other way it fails each handshake.
    """

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, current: Callable[[], ssl.SSLContext]) -> "ChangingContext":
        """`current` gives the context that new connections use."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self._current = current
        return self

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """The current context's."""
        return self._current().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """The current context's."""
        return self._current().wrap_socket(*args, **kwargs)


class CheckedObject(ssl.SSLObject):
    """One side of a connection whose handshake fails if the other one's certificate cannot be read.

    ssl raises ValueError for a name that is no UTF-8, which event loops take for a mistake in the program: a client
    could fill the log with tracebacks.
    """

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The certificate. Raises ssl.SSLError for one that is none."""
        try:
            return super().getpeercert(binary_form)
        except ValueError as error:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "a name in the client's certificate is no text") from error


def without_resumption(context: ssl.SSLContext) -> None:
    """Give clients no tickets to resume a session with.

    A resumed session is not verified again, and its certificate may be over by then. TLS 1.2 can resume without a
    ticket too, which ssl cannot forbid; so the dates are looked at when a connection is made (see `peer`).
    """
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
