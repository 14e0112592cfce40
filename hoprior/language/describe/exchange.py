"""One request to a server and its answer, in a time that holds whatever the server does, and with no other server."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

PIECE = 1 << 16
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Reply:
    """What a server answered; `content` is at most one piece longer than was allowed."""

    status: int
    content: bytes
    retry_after: str


def within_time(url: str, body: bytes, headers: dict[str, str], seconds: float, most: int) -> Reply | Exception:
    """What a server answers to a POST: from the first byte sent to the last received within a time.

    `requests` itself waits so long for each piece: a server that sends one now and then is waited for without end. So
    the exchange has a thread of its own, and when the time is over its connection is cut.

    Args:
        most: bytes of an answer, unpacked; reading ends where there are more.

    Returns:
        The answer; a `TimeoutError` where none came in time; or what else went wrong.
    """
    exchange = _Exchange(url, body, headers, seconds, most)
    thread = threading.Thread(target=exchange.run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        exchange.cut()
        return TimeoutError(f"no whole answer within {seconds:g} s")
    assert exchange.result is not None
    return exchange.result


class _Exchange:
    def __init__(self, url: str, body: bytes, headers: dict[str, str], seconds: float, most: int) -> None:
        self.url, self.body, self.headers, self.seconds, self.most = url, body, headers, seconds, most
        self.deadline = time.monotonic() + seconds
        self.result: Reply | Exception | None = None
        self.sockets: list[socket.socket] = []

    def run(self) -> None:
        """Asks, and keeps the answer or the fault."""
        try:
            self.result = self._asked()
        except Exception as error:  # whatever it is: the thread that waits tells it
            import requests

            slow = isinstance(error, requests.Timeout)
            self.result = TimeoutError(f"no answer within {self.seconds:g} s") if slow else error

    def cut(self) -> None:
        """Ends all waiting for the server."""
        for connected in self.sockets:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _asked(self) -> Reply:
        with _session(self) as session:
            response = session.post(
                self.url, data=self.body, headers=self.headers, timeout=self.seconds, stream=True, allow_redirects=False
            )
            content = bytearray()
            for piece in response.iter_content(PIECE):
                content += piece
                if time.monotonic() > self.deadline:
                    raise TimeoutError(f"no whole answer within {self.seconds:g} s")
                if len(content) > self.most:
                    break
            return Reply(response.status_code, bytes(content), response.headers.get("Retry-After", ""))


def _session(exchange: _Exchange) -> Any:
    """A session that goes to no other address, and whose connections `exchange` can cut."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    def seen(connection: HTTPConnection) -> None:
        if isinstance(connection.sock, socket.socket):
            exchange.sockets.append(connection.sock)
        if time.monotonic() > exchange.deadline:
            exchange.cut()

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            seen(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            seen(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    class Session(requests.Session):
        def get_redirect_target(self, resp: Any) -> None:
            """None: it would be looked up even where it is not gone to."""

    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session
