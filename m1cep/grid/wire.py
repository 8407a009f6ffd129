"""Commands, reports and events of a grid as plain values, for JSON: ``{"type": "fill", "order_id": ..., ...}``.

Prices stay ticks and quantities lots; amounts of money are text with exact digits.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from m1cep.errors import GridError
from m1cep.grid.machine.events import Event
from m1cep.grid.machine.spec import GridSpec
from m1cep.grid.orders import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.grid.orders import Fill, Market


def _named(union: Any) -> dict[str, type]:
    """The classes of a union of unions, by their names in snake case."""
    found: dict[str, type] = {}
    for one in get_args(union):
        found |= _named(one) if get_args(one) else {re.sub(r"(?<!^)(?=[A-Z])", "_", one.__name__).lower(): one}
    return found


COMMANDS = _named(Command)
EVENTS = _named(Event)
_TYPES = {cls: name for name, cls in (COMMANDS | EVENTS).items()}


def to_plain(what: Command | Event) -> dict[str, Any]:
    """As values for JSON, its type first."""
    plain: dict[str, Any] = msgspec.to_builtins(what)
    return {"type": _TYPES[type(what)], **plain}


def command(plain: Mapping[str, Any]) -> Command:
    """A command from its plain values.

    Raises:
        GridError: it is none; says what was expected.
    """
    found: Command = _from_plain(plain, COMMANDS, "command")
    return found


def event(plain: Mapping[str, Any]) -> Event:
    """An event from its plain values.

    Raises:
        GridError: it is none; says what was expected.
    """
    found: Event = _from_plain(plain, EVENTS, "event")
    return found


def _from_plain(plain: Mapping[str, Any], known: Mapping[str, type], what: str) -> Any:
    cls = known.get(str(plain.get("type")))
    if cls is None:
        raise GridError(
            f"expected a grid's {what} with a type of {', '.join(sorted(known))}, got {plain.get('type')!r}"
        )
    try:
        return msgspec.convert({k: v for k, v in plain.items() if k != "type"}, cls)
    except msgspec.ValidationError as error:
        raise GridError(f"a grid's {what} of type {plain['type']}: {error}") from error


def spec_plain(spec: GridSpec) -> dict[str, Any]:
    """What a grid is told to be, as values for JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    return plain


def spec(plain: Any) -> GridSpec:
    """What a grid is told to be, from its plain values.

    Raises:
        GridError: says which value, and what was expected.
    """
    try:
        return msgspec.convert(plain, GridSpec)
    except msgspec.ValidationError as error:
        raise GridError(f"the spec of a grid: {error}") from error


def fill_event(venue: str, account: str, market: Market, fill: Fill) -> dict[str, Any]:
    """A trade of a grid as an event of the ``fills`` stream.

    Args:
        venue: its name; with the market and the trade's and order's ids it makes the event's id.
        account: whose grid it was.
        market: where it was.
        fill: the trade.
    """
    return {
        "event_id": f"{venue}/{market.symbol}/{fill.trade_id}/{fill.order_id}",
        "account": account,
        "order_id": fill.order_id,
        "trade_id": f"{venue}/{market.symbol}/{fill.trade_id}",
        "symbol": market.symbol,
        "side": fill.side.value,
        "price": float(market.price(fill.ticks)),
        "qty": float(market.quantity(fill.lots)),
        "fee": float(fill.fee),
        "ts": fill.time_ms,
    }


def other_steps(market: Market, record: Mapping[str, Any]) -> str:
    """What is wrong with the tick and lot that a command's record was counted in, or nothing."""
    for name, step in (("tick", market.tick), ("lot", market.lot)):
        try:
            if Decimal(str(record.get(name))) == step:
                continue
        except InvalidOperation:
            pass
        return f"{name}: expected orders in steps of {step}, got {record.get(name)!r}"
    return ""
