"""Examples for the documents: records as the code itself writes them, from events that never change."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from m1cep import Engine, compile_rule
from m1cep.grid import wire
from m1cep.grid.fleet import Answer, Fleet
from m1cep.grid.machine import GridSpec, Price, Rung, Start
from m1cep.grid.orders import Market
from streams import codec
from streams.files import load_streams
from streams.grid.log import command_record, event_record, status_message

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME_MS = 1_777_689_400_000  # 2026-05-02, as in tests/golden
_RULE = """/*
id: large-order
severity: high
action: freeze_account
*/
SELECT account, order_id, price * qty AS notional FROM orders WHERE action = 'new' AND price * qty > 1000000"""
_ORDER = {
    "event_id": "o-17",
    "account": "acc-7",
    "order_id": "ord-17",
    "symbol": "BTC-USD",
    "action": "new",
    "side": "buy",
    "price": 64_000.5,
    "qty": 20.0,
    "ts": _TIME_MS,
}
# An event of each stream, by the name of its message.
_EVENTS: dict[str, dict[str, Any]] = {
    "OrdersEvent": _ORDER,
    "FillsEvent": {
        "event_id": "f-9",
        "account": "acc-7",
        "order_id": "ord-17",
        "trade_id": "t-9",
        "symbol": "BTC-USD",
        "side": "buy",
        "price": 64_000.5,
        "qty": 0.25,
        "fee": 8.0,
        "ts": _TIME_MS + 120,
    },
    "AccountsEvent": {
        "event_id": "a-3",
        "account": "acc-7",
        "kind": "login",
        "ip": "203.0.113.9",
        "country": "DE",
        "device": "phone-1",
        "ts": _TIME_MS - 60_000,
    },
    "MarketEvent": {
        "event_id": "m-5",
        "symbol": "BTC-USD",
        "action": "created",
        "order_id": "812",
        "side": "bid",
        "price": 63_999.0,
        "qty": 0.5,
        "ts": _TIME_MS - 5,
    },
}


def examples() -> dict[str, dict[str, Any]]:
    """Headers and payload of a record of each kind for which there is one, by the message's name."""
    found = {name: {"payload": event} for name, event in _EVENTS.items()}
    return found | _of_rules() | _of_grids()


def _example(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    return {"headers": {name: text.decode() for name, text in headers}, "payload": orjson.loads(value or b"null")}


def _of_rules() -> dict[str, dict[str, Any]]:
    rule = compile_rule(_RULE, load_streams())
    engine = Engine([rule])
    alert = [*engine.push("orders", [_ORDER]), *engine.finish()][0]
    bad = codec.Source("m1cep.orders.v1", 2, 4711, _TIME_MS, b"acc-7", b'{"event_id": "o-18", "qty": "many"}')
    messages = {
        "Alert": codec.alert_message(alert, _TIME_MS, "/m1cep/risk"),
        "Action": codec.action_message(alert, "freeze_account", _TIME_MS, "/m1cep/risk"),
        "DeadLetter": codec.dead_letter(bad, "Expected `float`, got `str`", "/m1cep/risk", column="qty"),
    }
    return {name: _example(message.value, message.headers) for name, message in messages.items()}


def _of_grids() -> dict[str, dict[str, Any]]:
    market = Market(
        "BTC-USD", Decimal("0.01"), Decimal("0.00000001"), Decimal(1), Decimal("0.00005"), Decimal("0.0005")
    )
    rungs = (Rung(lots=1_000_000, ticks=2_000),) * 2
    spec = GridSpec(market=market, centre_ticks=6_400_000, up=rungs, down=rungs, cash=Decimal(10_000), lots=10_000_000)
    more = {"spec": wire.spec_plain(spec), "account": "acc-7", "venue": "paper"}
    _, start, headers = event_record("btc-1", Start("r-1"), "start/r-1", "/m1cep/grid", **more)
    fleet, answer = Fleet(), Answer()
    fleet.take(_TIME_MS, "btc-1", orjson.loads(start), answer)
    price = wire.to_plain(Price(_TIME_MS, 6_400_000)) | {"symbol": "BTC-USD"}
    fleet.take(_TIME_MS, None, price, answer)
    member, command = answer.commands[0]
    _, order, about = command_record(member, command, "m1cep.grid-log.v1/0/17/0")
    status = status_message(fleet.members["btc-1"], "m1cep.grid-log.v1/0/17")
    return {
        "GridEvent": _example(start, headers),
        "OrderCommand": _example(order, about),
        "GridStatus": _example(status.value, status.headers),
    }
