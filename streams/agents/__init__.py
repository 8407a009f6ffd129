"""Agents, each a file; ``AGENTS`` says which there are.

``host`` takes batches and commits, ``around`` is for agents with work beside their reading, ``outbox`` writes, ``keeper`` and
``acks`` keep it safe, ``flow`` (with ``idle``, ``clock``, ``ahead``, ``pace``) says how time goes on and what is read next,
``stats`` counts: shared by all agents. An agent's own file
brings its state (``partition.Partition``) and a ``build`` function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Mapping

    from faust.types import TP

    from streams.agents.context import AgentContext
    from streams.agents.host import Host


class Running(Protocol):
    """An agent as the worker runs it: :class:`~streams.agents.host.Host`, :class:`~streams.agents.solo.Solo`.

    Attributes:
        failed: done with an exception when it cannot go on.
    """

    name: str
    failed: asyncio.Future[None]

    @property
    def topics(self) -> Collection[str]:
        """What it reads."""

    async def run(self) -> None:
        """Until something is wrong, which it raises."""

    def trouble(self) -> BaseException | None:
        """Why it cannot go on; None: it can. Asked often."""

    def positions(self) -> Mapping[TP, int]:
        """The next offset to process of everything that it reads."""

    def measure(self) -> None:
        """Bring the counters up to date that are not kept as things happen."""

    async def close(self) -> None:
        """A clean end: save."""

    def abandon(self) -> None:
        """An end after a failure: save nothing."""

    async def stop(self) -> None:
        """Let go of the broker."""


async def _risk(context: AgentContext) -> Host:
    from streams.agents.risk import build

    return await build(context)


async def _rekey(context: AgentContext) -> Host:
    from streams.agents.rekey import build

    return await build(context)


async def _grid(context: AgentContext) -> Host:
    from streams.agents.grid import build

    return await build(context)


async def _paper_exchange(context: AgentContext) -> Host:
    from streams.agents.paper_exchange import build

    return await build(context)


async def _sequencer(context: AgentContext) -> Host:
    from streams.agents.sequencer import build

    return await build(context)


async def _signer(context: AgentContext) -> Running:
    from streams.agents.signer import build

    return await build(context)


async def _custody(context: AgentContext) -> Running:
    from streams.agents.custody import build

    return await build(context)


async def _results(context: AgentContext) -> Host:
    from streams.agents.results import build

    return await build(context)


async def _venue(context: AgentContext) -> Host:
    from streams.agents.venue_runner import build

    return await build(context)


async def _ledger(context: AgentContext) -> Running:
    from streams.agents.ledger import build

    return await build(context)


async def _pretrade(context: AgentContext) -> Running:
    from streams.agents.pretrade import build

    return await build(context)


async def _dashboard(context: AgentContext) -> Running:
    from streams.agents.dashboard import build

    return await build(context)


async def _notify(context: AgentContext) -> Running:
    from streams.agents.notify import build

    return await build(context)


#: What ``m1cep worker --agents`` knows. Builders import their agent when called, so that listing them costs nothing.
AGENTS = {
    "risk": _risk,
    "rekey": _rekey,
    "grid": _grid,
    "paper_exchange": _paper_exchange,
    "sequencer": _sequencer,
    "signer": _signer,
    "custody": _custody,
    "venue": _venue,
    "results": _results,
    "ledger": _ledger,
    "pretrade": _pretrade,
    "dashboard": _dashboard,
    "notify": _notify,
}
