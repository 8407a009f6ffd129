"""Where the cache is: ``redis://user:password@host:port/0`` (``rediss://`` with TLS), checked, and shown without its password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from streams.config import is_loopback
from streams.errors import ServerError, UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr
    from redis import Redis

    from streams.config import Settings

_FORM = "expected redis://USER:PASSWORD@HOST:PORT/0, or rediss:// with TLS, with special characters as %XX"
#: A server that does not answer for so long is away; lists of millions are read and written in parts.
ANSWER_TIMEOUT_S = 5.0


def cache_url(settings: Settings) -> SecretStr:
    """The cache's URL.

    Raises:
        UsageError: it is not set, is none, or names a server elsewhere without TLS.
    """
    url = settings.cache_url
    if url is None:
        raise UsageError(
            "no cache is given", "run `m1cep cache` and set M1CEP_CACHE_URL as it says, or to one of yours"
        )
    check_url(url, allow_plaintext=settings.allow_plaintext)
    return url


def check_url(url: SecretStr, *, allow_plaintext: bool = False) -> None:
    """Refuse what is no address of a cache.

    Raises:
        UsageError: it is none, or names a server elsewhere without TLS.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:  # it quotes the text: nothing of it may be shown, nor chained
        raise UsageError("M1CEP_CACHE_URL is not the address of a cache", _FORM) from None
    # A / ? or # in a password ends the host too early: what is left of it would be shown as one.
    whole = re.fullmatch(r"/?\d*", parts.path) and not parts.fragment and "@" not in parts.query
    if parts.scheme not in {"redis", "rediss"} or not host or not whole:
        raise UsageError("M1CEP_CACHE_URL is not the address of a cache", _FORM)
    if parts.scheme == "redis" and not allow_plaintext and not is_loopback(host):
        raise UsageError(
            f"{public_address(url)} is not on this machine and the connection would not be encrypted",
            "use rediss://; if the network between is trusted, set M1CEP_ALLOW_PLAINTEXT=true",
        )


def public_address(url: SecretStr) -> str:
    """Host and port, for messages."""
    parts = urlsplit(url.get_secret_value())
    return f"{parts.hostname}:{parts.port or 6379}"


def open_client(url: SecretStr, *, timeout_s: float = ANSWER_TIMEOUT_S, **options: Any) -> Redis:
    """A client with text in and out; nothing is connected yet. Every wait is bounded.

    Raises:
        UsageError: the package redis is not installed.
    """
    try:
        import redis
    except ImportError:
        raise UsageError("the cache's client is not installed (package redis)", "install m1cep[cache]") from None
    return redis.Redis.from_url(
        url.get_secret_value(),
        protocol=3,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        **options,
    )


def unreachable(url: SecretStr, error: Exception) -> ServerError:
    """What to tell the user of an error of the client."""
    return ServerError(
        f"the cache at {public_address(url)} cannot be used: {error}",
        "see that it runs and that M1CEP_CACHE_URL is right",
    )
