"""The server of the explorer, reached from this computer alone."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from colorcnn.errors import ColorCNNError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """Logs no requests; a connection that stays silent is closed."""

    protocol_version = "HTTP/1.0"
    timeout = 60

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: the page tells about its problems."""

    def version_string(self) -> str:
        """Return the name of the server, without versions."""
        return "colorcnn"


def take_port(port: int) -> socket.socket:
    """Open a socket that listens to this computer.

    Args:
        port: 1 to 65535, or 0 for any free port.

    Raises:
        ColorCNNError: another program uses the port, or it is not allowed.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ColorCNNError(
            f"Port {port} cannot be used ({os.strerror(error.errno or 0)})",
            "choose another one, or 0 for any free port",
            code="port-in-use",
            port=port,
        ) from error


@contextlib.contextmanager
def serving(app: WSGIApplication, listener: socket.socket) -> Iterator[threading.Thread]:
    """Serve in a thread of its own as long as the context lasts.

    Args:
        app: the application.
        listener: of :func:`take_port`; is closed in the end.

    Yields:
        The thread, for those who wait.
    """
    with listener:
        port = listener.getsockname()[1]
        server = make_server(HOST, port, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())
        thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.2})
        thread.start()
        try:
            yield thread
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)
