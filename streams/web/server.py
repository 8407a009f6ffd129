"""The worker's web server: health, metrics, and the pages of agents that have some. On the worker's own event loop.

request ──▶ Host is ours ──▶ token, where one is set ──▶ handler ──▶ headers that browsers heed
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Self

import orjson
import structlog
from aiohttp import web

from streams.config import is_loopback
from streams.embedded.ports import PORTS_TRIED
from streams.errors import ServerError, UsageError
from streams.web.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler, Middleware

    from streams.web.access import WebOptions

_log = structlog.get_logger(__name__)

DEFAULT_PORT = 8080
#: The name of whoever asks, as the token says.
USER = web.RequestKey("user", str)
ACCESS = web.AppKey("access", Access)

#: Asked by what has no token yet: probes, and the page that is to ask for it. None of them tells anything about events.
_OPEN = frozenset({"/", "/healthz", "/readyz", "/session", "/favicon.ico"})
_OPEN_FOLDERS = ("/static/", "/vendor/")
_MOST_BODY_BYTES = 64 * 1024
_STOP_TIMEOUT_S = 1.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def json_response(body: object, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=orjson.dumps(body, default=str), status=status, content_type="application/json")


def error_response(status: int, error: str, remedy: str = "") -> web.Response:
    """What every failure looks like."""
    response = json_response({"error": error, "remedy": remedy}, status)
    if status == web.HTTPUnauthorized.status_code:
        response.headers["WWW-Authenticate"] = 'Bearer realm="m1cep"'
    return response


def web_app(options: WebOptions, routes: Iterable[web.AbstractRouteDef]) -> web.Application:
    """The application: routes behind access control."""
    access = Access(options.users)
    app = web.Application(middlewares=[_plainly, _guard(access, options.host)], client_max_size=_MOST_BODY_BYTES)
    app[ACCESS] = access
    app.add_routes(routes)
    app.on_response_prepare.append(_add_headers)
    return app


class WebServer:
    """The application on a port. Use as an asynchronous context manager.

    Args:
        options: where, and for whom.
        routes: of everything.
    """

    def __init__(self, options: WebOptions, routes: Iterable[web.AbstractRouteDef]) -> None:
        self._options = options
        self._runner = web.AppRunner(
            web_app(options, routes), access_log=None, handle_signals=False, shutdown_timeout=_STOP_TIMEOUT_S
        )
        self.url = ""

    async def __aenter__(self) -> Self:
        listening = _listen(self._options)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        self.url = f"http://{host}:{listening.getsockname()[1]}"
        _log.info("web.listening", url=self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def _listen(options: WebOptions) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the port that was asked for is taken, or the host is none of this machine.
        ServerError: no port is free.
    """
    ports = [options.port] if options.port is not None else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    for port in ports:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(options.host, port, type=socket.SOCK_STREAM)[0]
            found = socket.socket(family, kind, proto)
        except OSError as error:
            raise _no_host(options.host, error) from error
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(256)
        except OSError as error:
            found.close()
            if error.errno == errno.EADDRINUSE and options.port is None:
                continue
            raise _cannot_listen(options.host, port, error) from error
        else:
            return found
    raise ServerError(
        f"no free port from {DEFAULT_PORT} to {DEFAULT_PORT + PORTS_TRIED - 1} for the web server", "set M1CEP_WEB_PORT"
    )


def _no_host(host: str, error: OSError) -> UsageError:
    return UsageError(f"M1CEP_WEB_HOST: {host!r} is no host: {error.strerror}", "set it to an address of this machine")


def _cannot_listen(host: str, port: int, error: OSError) -> UsageError:
    return UsageError(
        f"the web server cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
        "give another --web-port (or M1CEP_WEB_PORT); 0 takes any free one",
    )


def _guard(access: Access, host: str) -> Middleware:
    """Lets in whoever may; without tokens, only who names this machine: a page of the web whose name is made to mean
    127.0.0.1 would otherwise read along.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not access.asks and not _names_us(request.host, host):
            return error_response(403, f"the host {request.host[:100]!r} is not this server's", f"ask for {host}")
        user = access.user(request)
        if user is None and not (request.path in _OPEN or request.path.startswith(_OPEN_FOLDERS)):
            return error_response(401, "no token, or a wrong one", "send the header Authorization: Bearer TOKEN")
        if user is not None:
            request[USER] = user
        return await handler(request)

    return guard


def _names_us(asked: str, host: str) -> bool:
    name = asked.rpartition(":")[0] if asked.rpartition(":")[2].isdigit() and not asked.endswith("]") else asked
    name = name.strip("[]").lower()
    return name == host or is_loopback(name)


@web.middleware
async def _plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON in one line; a traceback is for the log."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        return error_response(error.status, f"{request.method} {request.path[:200]}: {error.reason}")
    except ConnectionError:
        raise  # whoever asked is gone
    except Exception as error:  # noqa: BLE001 - one bad page must not end the worker
        _log.error("web.failed", path=request.path, error=repr(error), exc_info=error)
        return error_response(500, f"{request.path[:200]} failed", "the worker's log says why")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "m1cep"  # which versions of what it is made of is nobody's business
