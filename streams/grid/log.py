"""The topics of grid trading, and the records that are written to them.

    m1cep.order-commands.v1 [grid]   grid ──▶ venue; every command in the partition of its symbol
    m1cep.paper-log.v1 [symbol]      commands and the real flow in one order: what the paper exchange reads
    m1cep.grid-log.v1 [grid]         reports, requests, prices, halts, the time: what the grids read
    m1cep.grids.v1 [grid]            how each grid stands; compacted

A grid, and a market of the paper exchange, read one log each: whoever reads it again after a crash says the same again, and ids
tell that it is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from m1cep.errors import GridError
from m1cep.grid import wire
from m1cep.grid.orders import Place
from streams import codec

if TYPE_CHECKING:
    from m1cep.grid.fleet import Member
    from m1cep.grid.machine import Event
    from m1cep.grid.orders import Command

COMMANDS = "m1cep.order-commands.v1"
PAPER_LOG = "m1cep.paper-log.v1"
GRID_LOG = "m1cep.grid-log.v1"
GRIDS = "m1cep.grids.v1"

Record = tuple[bytes | None, bytes, list[tuple[str, bytes]]]  # key, value, headers


def command_record(member: Member, command: Command, identity: str) -> Record:
    """A command for the member's venue.

    Args:
        member: the grid that gives it.
        command: what it gives.
        identity: the same for the same command of the same record of the log.
    """
    market = member.grid.state.spec.market
    body = {
        "grid": member.grid.state.name,
        "account": member.account,
        "venue": member.venue,
        "symbol": market.symbol,
        "tick": f"{market.tick:f}",
        "lot": f"{market.lot:f}",
        "command": wire.to_plain(command),
    }
    if isinstance(command, Place):  # for people; the venue counts in ticks and lots
        body |= {"price": f"{market.price(command.ticks):f}", "qty": f"{market.quantity(command.lots):f}"}
    about = codec.headers(identity, "m1cep.order-command.v1", "/m1cep/grid", None)
    return member.grid.state.name.encode(), orjson.dumps(body), about


def event_record(grid: str | None, event: Event, identity: str, source: str, **more: Any) -> Record:
    """An event for a grid, or for all grids to whom it applies.

    Args:
        grid: its name, or None.
        event: what it hears.
        identity: the same for the same event.
        source: CloudEvents source.
        more: further fields: of a start the spec, account and venue; of a halt or price whom it is about.
    """
    about = codec.headers(identity, "m1cep.grid-event.v1", source, None)
    value = orjson.dumps(wire.to_plain(event) | more, default=str)
    return None if grid is None else grid.encode(), value, about


def fill_message(topic: str, event: dict[str, Any], source: str) -> codec.Message:
    """A trade as an event of the ``fills`` stream."""
    about = codec.headers(event["event_id"], "m1cep.fill.v1", source, None)
    return codec.Message(topic, event["account"].encode(), orjson.dumps(event), about)


def parse_object(value: bytes | None) -> dict[str, Any]:
    """The JSON object that a record holds.

    Raises:
        GridError: it holds none.
    """
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise GridError(f"expected JSON: {error}") from error
    if not isinstance(found, dict):
        raise GridError(f"expected a JSON object, got {type(found).__name__}")
    return found


def status_message(member: Member, identity: str) -> codec.Message:
    """How a grid stands, for the compacted topic."""
    state = member.grid.state
    body = {
        **member.grid.summary(),
        "account": member.account,
        "venue": member.venue,
        "symbol": state.spec.market.symbol,
        "time_ms": state.now_ms,
        "requests": state.requests[-20:],
        "start_ticks": state.books.start_ticks,
        "levels": sorted({slot.ticks for slot in state.slots}),
        "open_orders": [
            {"id": one.id, "side": one.side.value, "ticks": one.ticks, "lots": one.lots, "filled": one.filled}
            for one in member.grid.open_orders
        ],
        "spec": wire.spec_plain(state.spec),
    }
    about = codec.headers(identity, "m1cep.grid.v1", "/m1cep/grid", None)
    return codec.Message(GRIDS, state.name.encode(), orjson.dumps(body, default=str), about)
