"""One page for the browsers of this machine, and of no other."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hoprior.errors import HopriorError

LOOPBACK = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves one page on the loopback interface; it is made again whenever a browser asks for it.

    Args:
        page: makes the page, as HTML; a HopriorError that it raises is what the browser shows.
        port: where, or 0 for any that is free; one that is in use gives way to a free one.

    Attributes:
        moved: whether another port than the wanted one was taken.

    Raises:
        HopriorError: the port cannot be one.

    Example:
        >>> with PageServer(lambda: "<!doctype html>", 0) as server:
        ...     server.url.rpartition(":")[0], server.moved
        ('http://127.0.0.1', False)
    """

    daemon_threads = True
    # Else a port that another server listens on could be taken a second time.
    allow_reuse_address = False

    def __init__(self, page: Callable[[], str], port: int) -> None:
        if not 0 <= port < 65536:
            raise HopriorError(f"--port {port} is none: use one from 1024 to 65535")
        self.page, self.moved = page, False
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError:
            self.moved = True
            super().__init__((LOOPBACK, 0), _Handler)

    @property
    def url(self) -> str:
        """What a browser of this machine opens."""
        return f"http://{LOOPBACK}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        # A page of somebody else's, open in the same browser, may send requests here under a name of its own.
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in (LOOPBACK, "localhost") or self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        status = HTTPStatus.OK
        try:
            body, kind = self.server.page().encode(), "text/html"
        except HopriorError as error:
            body, kind, status = f"hoprior: {error}\n".encode(), "text/plain", HTTPStatus.INTERNAL_SERVER_ERROR
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the terminal is the user's."""
