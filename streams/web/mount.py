"""What a worker's web server shows: its own routes, and the pages of its agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiohttp import web

    from streams.agents import Running
    from streams.agents.vitals import Vitals
    from streams.readiness import ReadyLimits


def has_pages(agents: Sequence[Running]) -> bool:
    """Whether one of the agents has pages: a method ``routes() -> Iterable[aiohttp.web.AbstractRouteDef]``."""
    return any(hasattr(agent, "routes") for agent in agents)


def routes(vitals: Vitals, limits: ReadyLimits) -> Iterator[web.AbstractRouteDef]:
    """Everything to mount."""
    from streams.web.health import health_routes
    from streams.web.metrics import metrics_routes

    yield from health_routes(vitals, limits)
    yield from metrics_routes(vitals, limits)
    for agent in vitals.running:
        if hasattr(agent, "routes"):
            yield from agent.routes()
