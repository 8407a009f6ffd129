"""``/healthz`` and ``/readyz``: 200 or 503, and in the body which check says no, with its figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from streams.readiness import alive, ready
from streams.web.server import USER, json_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.agents.vitals import Vitals
    from streams.readiness import Check, ReadyLimits


def health_routes(vitals: Vitals, limits: ReadyLimits) -> Iterator[web.AbstractRouteDef]:
    """``/healthz`` and ``/readyz``."""

    async def healthz(request: web.Request) -> web.Response:
        return _answer(request, "alive", alive(vitals))

    async def readyz(request: web.Request) -> web.Response:
        return _answer(request, "ready", ready(vitals, limits))

    yield web.get("/healthz", healthz)
    yield web.get("/readyz", readyz)


def _answer(request: web.Request, what: str, checks: Sequence[Check]) -> web.Response:
    """200 or 503; which checks failed is told to everybody, the figures to whoever may see them."""
    failed = [check.name for check in checks if not check.ok]
    body: dict[str, Any] = {what: not failed, "failed": failed}
    if USER in request:
        body["checks"] = [asdict(check) for check in checks]
    return json_response(body, 503 if failed else 200)
