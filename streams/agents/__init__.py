"""Agents, each a file; ``AGENTS`` says which there are.

``host`` takes batches and commits, ``outbox`` writes, ``keeper`` and ``acks`` keep it safe, ``flow`` (with ``idle``, ``clock``,
``ahead``, ``pace``) says how time goes on and what is read next, ``stats`` counts: shared by all agents. An agent's own file
brings its state (``partition.Partition``) and a ``build`` function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.agents.context import AgentContext
    from streams.agents.host import Host


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


#: What ``m1cep worker --agents`` knows. Builders import their agent when called, so that listing them costs nothing.
AGENTS = {
    "risk": _risk,
    "rekey": _rekey,
    "grid": _grid,
    "paper_exchange": _paper_exchange,
    "sequencer": _sequencer,
}
