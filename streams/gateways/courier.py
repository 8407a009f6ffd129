"""Requests to a venue over a network that loses replies, to a server that says when to come again.

What a failure says about a request:

    too many requests (429, 418)      not carried out: wait as long as the venue says (Retry-After), then send it again
    refused                           not carried out: the caller's business
    time-out, connection lost, 5xx    nobody knows: only what may be done twice is sent again
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

import ccxt
import structlog

from streams.gateways.base import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Reply = TypeVar("_Reply")
_log = structlog.get_logger()
_FIRST_S, _LONGEST_S = 0.25, 15.0  # pauses where the venue names none


class Lost(Exception):  # noqa: N818 - what happened to the reply
    """Nobody knows whether the request was carried out."""


class Courier:
    """Carries requests to one venue; a pause that the venue asks for holds for all of them.

    Args:
        exchange: the ccxt exchange, for the headers of its last reply.
        patience_s: how long a request is tried in all.
    """

    def __init__(self, exchange: Any, *, patience_s: float) -> None:
        self._exchange = exchange
        self._patience_s = patience_s
        self._not_before = 0.0  # monotonic clock

    async def repeat(self, call: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """The reply to a request that may be carried out twice.

        Raises:
            Unreachable: there was none in time.
            ccxt.ExchangeError: the venue refuses it.
        """
        until = time.monotonic() + self._patience_s
        pause_s = _FIRST_S
        while True:
            try:
                return await self.once(call)
            except Lost as lost:
                if time.monotonic() + pause_s > until:
                    raise Unreachable(
                        f"{self._exchange.id}: no reply in {self._patience_s:g} s: {lost}", "is the network up?"
                    ) from lost
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_S)

    async def once(self, call: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """The reply to a request that is sent again only while the venue says that it has too many.

        Raises:
            Lost: nobody knows whether it was carried out.
            Unreachable: the venue had too many requests all the time; it was not carried out.
            ccxt.ExchangeError: the venue refuses it.
        """
        until = time.monotonic() + self._patience_s
        pause_s = _FIRST_S
        while True:
            if (wait_s := self._not_before - time.monotonic()) > 0:
                if time.monotonic() + wait_s > until:
                    raise Unreachable(
                        f"{self._exchange.id} asks to wait {wait_s:.0f} s", "send less, or raise the patience"
                    )
                await asyncio.sleep(wait_s)
            try:
                return await call()
            except (ccxt.RateLimitExceeded, ccxt.DDoSProtection) as busy:
                named_s = _retry_after_s(self._exchange.last_response_headers)
                _log.warning("venue has too many requests", venue=self._exchange.id, retry_after_s=named_s)
                self._not_before = max(self._not_before, time.monotonic() + (pause_s if named_s is None else named_s))
                pause_s = min(2 * pause_s, _LONGEST_S)
                if time.monotonic() > until:
                    raise Unreachable(f"{said(busy)}", "send less, or raise the patience") from busy
            except ccxt.OperationFailed as error:  # no reply, or none that says anything
                raise Lost(said(error)) from error


def said(error: BaseException) -> str:
    """A failure in ccxt's words, without what stands in the request's query: it is signed."""
    return re.sub(r"\?\S+", "?...", str(error))


def _retry_after_s(headers: Any) -> float | None:
    """What the header says, in seconds; None: it is not there, or it is a date (venues send numbers)."""
    value = next((v for k, v in dict(headers or {}).items() if str(k).lower() == "retry-after"), None)
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
