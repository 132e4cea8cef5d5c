"""The WSGI application of the explorer: checks requests, calls :class:`Explorer`, and writes JSON.

The page may show private pictures, and any website that is open in the browser can send requests to this
computer. So a request must name this computer as its host (a foreign name may lead here: DNS rebinding), and
what changes or computes must come from the page itself. No part of a request becomes a path of a file.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from werkzeug.exceptions import Forbidden, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from colorcnn import schema
from colorcnn.errors import ColorCNNError, UsageError, apply_cure
from colorcnn.explorer.explorer import Explorer
from colorcnn.explorer.protocol import ListRequest, OriginalRequest, Problem, QuantizedRequest
from colorcnn.explorer.sources import MOST_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ASSETS = {
    "/": ("index.html", "text/html"),
    **{
        f"/{name}": (name, "text/javascript")
        for name in ("api.js", "main.js", "pictures.js", "png.js", "tile.js")
    },
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/style.css": ("style.css", "text/css"),
}
"""Address -> file of the page in ``static/`` and its type. There are no others."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""

CURES = {
    "too-little-memory": "choose a smaller size or another method",
    "too-many-pixels": "scale it down first",
}
"""Code of an error -> its cure in the words of the page."""

MOST_JSON = 1 << 16
_AT_ONCE = 4  # requests that compute; others wait
_THUMBNAILS_AT_ONCE = 2
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.ASCII)


class App:
    """A WSGI application.

    Args:
        explorer: gives the answers.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        self._thumbnails = threading.BoundedSemaphore(_THUMBNAILS_AT_ONCE)
        folder = files("colorcnn.explorer") / "static"
        self._assets = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in ASSETS.items()}
        self._routes = Map(
            [
                *(Rule(path, methods=["GET"], endpoint=self._asset) for path in ASSETS),
                Rule("/api/state", methods=["GET"], endpoint=self._state),
                Rule("/api/pictures", methods=["GET"], endpoint=self._pictures),
                Rule("/api/thumbnail", methods=["GET"], endpoint=self._thumbnail),
                Rule("/api/original", methods=["POST"], endpoint=self._original),
                Rule("/api/quantized", methods=["POST"], endpoint=self._quantized),
                Rule("/api/added", methods=["POST"], endpoint=self._added),
            ]
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        response = self._answer(request)
        response.headers.update(HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            check_place(request)
            endpoint: Callable[[Request], Response]
            endpoint, _ = self._routes.bind_to_environ(request.environ).match()
            return endpoint(request)
        except ColorCNNError as error:
            apply_cure(error, CURES)
            return _json(Problem(str(error)), 400 if isinstance(error, UsageError) else 422)
        except RequestEntityTooLarge:
            return _json(Problem(f"The file has more than {MOST_BYTES >> 20} MiB: scale it down first."), 413)
        except HTTPException as error:
            return _json(Problem(error.description or error.name), error.code or 400)
        except (MemoryError, RuntimeError) as error:  # torch has several errors for a full memory
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                return _failed(error)
            return _json(Problem("The memory is full: choose a smaller size or another method."), 503)
        except Exception as error:  # one bad answer must not end the page
            return _failed(error)

    def _asset(self, request: Request) -> Response:
        data, kind = self._assets[request.path]
        return Response(data, content_type=f"{kind}; charset=utf-8")

    def _state(self, request: Request) -> Response:
        return _json(self.explorer.state())

    def _pictures(self, request: Request) -> Response:
        asked = {key: _number(value) for key, value in request.args.items()}
        return _json(self.explorer.pictures(_converted(asked, ListRequest)))

    def _thumbnail(self, request: Request) -> Response:
        with self._thumbnails:
            return Response(
                self.explorer.thumbnail(request.args.get("picture", "")), content_type="image/png"
            )

    def _original(self, request: Request) -> Response:
        asked = _body(request, OriginalRequest)
        with self._computing:
            return _json(self.explorer.original(asked))

    def _quantized(self, request: Request) -> Response:
        asked = _body(request, QuantizedRequest)
        with self._computing:
            return _json(self.explorer.quantized(asked))

    def _added(self, request: Request) -> Response:
        data = _data(request, MOST_BYTES)
        with self._computing:
            return _json(self.explorer.add(request.args.get("name", ""), data))


def check_place(request: Request) -> None:
    """Refuse a request that does not come from the explorer's own page on this computer.

    Raises:
        Forbidden: another host is named, or another website sent the request.
    """
    host = request.environ.get("HTTP_HOST", "")
    if _LOCAL.fullmatch(host) is None:
        raise Forbidden("The explorer answers to 127.0.0.1 and localhost alone: use the address it printed.")
    origin = request.headers.get("Origin")
    allowed = {f"http://{host}"} if request.method not in ("GET", "HEAD") else {f"http://{host}", None}
    if origin not in allowed or request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("Another website sent this request: use the explorer's own page.")


def _data(request: Request, most: int) -> bytes:
    """Return the body of a request, refused before it is read where it is too long."""
    request.max_content_length = most
    return request.get_data(cache=False)


def _body(request: Request, kind: type[_T]) -> _T:
    if request.mimetype != "application/json":
        raise UsageError("The request is no JSON: send the type application/json.")
    return _converted(schema.parse_json(_data(request, MOST_JSON), "The request", "reload the page"), kind)


def _converted(content: Any, kind: type[_T]) -> _T:
    try:
        return schema.convert(content, kind, "The request", "reload the page")
    except UsageError:
        raise
    except ColorCNNError as error:
        raise UsageError(str(error)) from error


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[0-9]{1,16}", text, re.ASCII) else text


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, content_type="application/json")


def _failed(error: Exception) -> Response:
    _log.error("the explorer failed (%s: %s)", type(error).__name__, error)
    return _json(Problem(f"The explorer failed ({type(error).__name__}): see its terminal."), 500)
