"""Who may ask the worker's web server: tokens, and sessions for browsers, whose event streams can send no headers.

Everybody, while the server listens on this machine alone and no token is set; else whoever shows one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.config import is_loopback
from streams.errors import UsageError
from streams.logs import hide
from streams.security import secret_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from streams.config import Settings

COOKIE = "m1cep_session"
SESSION_S = 12 * 3600
#: The user of a machine on which no token is asked for, and of a token without a name.
LOCAL = "local"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class WebOptions:
    """How the web server of a worker is to listen.

    Attributes:
        host, port: where; port None: 8080 or the next free one, 0: any free one.
        users: name by token; empty: nobody is asked.
        asked: whether the user wants the server, also where no agent has pages.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    asked: bool = False


def web_options(settings: Settings) -> WebOptions:
    """What the settings say.

    Raises:
        UsageError: a token is missing, too short, given twice, or its file cannot be read.
    """
    if settings.web_token is not None and settings.web_token_file is not None:
        raise UsageError("M1CEP_WEB_TOKEN and M1CEP_WEB_TOKEN_FILE are both set", "unset the one or the other")
    users: dict[str, str] = {}
    if settings.web_token is not None:
        users = _parsed(settings.web_token.get_secret_value(), "M1CEP_WEB_TOKEN")
    elif settings.web_token_file is not None:
        users = _parsed(secret_of("M1CEP_WEB_TOKEN_FILE", settings.web_token_file), "M1CEP_WEB_TOKEN_FILE")
    if not users and not is_loopback(settings.web_host):
        raise UsageError(
            f"the web server is to listen on {settings.web_host}, beyond this machine, and there is no token",
            "set M1CEP_WEB_TOKEN_FILE to a file that holds one, or leave M1CEP_WEB_HOST at 127.0.0.1",
        )
    return WebOptions(settings.web_host, settings.web_port, users, asked=settings.web_port is not None)


def _parsed(text: str, variable: str) -> dict[str, str]:
    """Name by token, of lines ``name:token`` or ``token``."""
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, token = line.strip().rpartition(":")
        if not token and not colon:
            continue
        if len(token) < _SHORTEST_TOKEN or (colon and not name):
            raise UsageError(
                f"{variable}: line {number} is no token: expected name:token with at least {_SHORTEST_TOKEN} characters",
                "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'",
            )
        hide(token)
        users[token] = name or LOCAL
    if not users:
        raise UsageError(f"{variable} holds no token", "expected lines name:token")
    return users


class Access:
    """Who a request comes from.

    Args:
        users: name by token; empty: everybody may, as ``local``.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        # Looked up by digest: how long that takes tells nothing of the token.
        self._users = {_digest(token): name for token, name in users.items()}
        self._key = secrets.token_bytes(32)  # sessions end with the process

    @property
    def asks(self) -> bool:
        """Whether a token is needed."""
        return bool(self._users)

    def user(self, request: web.Request) -> str | None:
        """The name of whoever asks; None: it may not."""
        if not self._users:
            return LOCAL
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._users.get(_digest(token.strip()))
        return self._session_user(request.cookies.get(COOKIE, ""))

    def of_token(self, token: str) -> str | None:
        """The name of whoever has the token; None: it is none."""
        return self._users.get(_digest(token)) if self._users else LOCAL

    def new_session(self, user: str) -> str:
        """What to put into the cookie ``COOKIE`` (HttpOnly, SameSite=Strict) for a user who has shown a token."""
        text = f"{int(time.time()) + SESSION_S}.{user}"
        return f"{self._sign(text)}.{text}"

    def _session_user(self, cookie: str) -> str | None:
        signature, _, text = cookie.partition(".")
        if not text or not hmac.compare_digest(_bytes(signature), self._sign(text).encode()):
            return None
        until_s, _, user = text.partition(".")
        return user if int(until_s) > time.time() else None

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, _bytes(text), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(_bytes(token)).digest()


def _bytes(header: str) -> bytes:
    """As they came: a header may hold any bytes."""
    return header.encode(errors="surrogateescape")
