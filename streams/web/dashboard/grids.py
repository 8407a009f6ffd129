"""Grids as they trade: from how each stands, and from the log that they read. Amounts stay text; nothing is computed in floats
but what a chart draws.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

import orjson

from streams.web.dashboard.columns import Columns

MOST_GRIDS = 100
MOST_FILLS = 500
#: Points of a curve; prices closer together than this are one point.
MOST_POINTS = 1_000
_PRICE_EVERY_MS = 500


class _Grid:
    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.fills: deque[dict[str, Any]] = deque(maxlen=MOST_FILLS)
        self.price = Columns("t_ms", "p", most=MOST_POINTS, thin=True)
        money = ("grid_profit", "floating_pnl", "equity_change", "hold")
        self.equity = Columns("t_ms", *money, most=MOST_POINTS, thin=True)
        self.priced_ms = 0  # time of the newest point
        self.market_ms = 0  # newest time that the market has told


class Grids:
    """All grids by name."""

    def __init__(self) -> None:
        self._grids: dict[str, _Grid] = {}

    def stands(self, key: bytes | None, value: bytes | None) -> None:
        """A record of m1cep.grids.v1."""
        name = (key or b"").decode(errors="replace")
        if value is None:
            self._grids.pop(name, None)
            return
        status = _parsed(value)
        try:
            _stand(status)
            money = [float(status[one]) for one in ("grid_profit", "floating_pnl", "equity_change")]
            hold = _hold(status)
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return  # nothing that can be shown
        grid = self._named(name)
        grid.status = status
        grid.equity.add(grid.market_ms or status["time_ms"], *money, hold)

    def hears(self, key: bytes | None, value: bytes | None) -> None:
        """A record of m1cep.grid-log.v1: fills and prices."""
        event = _parsed(value)
        match event.get("type"):
            case "price" if key is None:
                self._price(event)
            case "fill" if key is not None:
                self._fill(key.decode(errors="replace"), event)

    def _named(self, name: str) -> _Grid:
        if name not in self._grids and len(self._grids) >= MOST_GRIDS:
            ended = [n for n, g in self._grids.items() if g.status.get("state") == "stopped"]
            del self._grids[ended[0] if ended else next(iter(self._grids))]
        return self._grids.setdefault(name, _Grid())

    def _price(self, event: dict[str, Any]) -> None:
        for grid in self._grids.values():
            if grid.status.get("symbol") != event.get("symbol"):
                continue
            time_ms = int(event["time_ms"])
            grid.market_ms = max(grid.market_ms, time_ms)
            if time_ms >= grid.priced_ms + _PRICE_EVERY_MS:
                grid.priced_ms = time_ms
                grid.price.add(time_ms, float(event["ticks"] * _step(grid.status, "tick")))

    def _fill(self, name: str, event: dict[str, Any]) -> None:
        grid = self._grids.get(name)
        if grid is None or not grid.status:
            return
        fill = {
            "id": f"{event['order_id']}/{event['trade_id']}",
            "time_ms": event["time_ms"],
            "side": event["side"],
            "price": f"{event['ticks'] * _step(grid.status, 'tick'):f}",
            "qty": f"{event['lots'] * _step(grid.status, 'lot'):f}",
            "order": event["order_id"],
        }
        if all(fill["id"] != known["id"] for known in grid.fills):  # a venue may say it twice
            grid.fills.append(fill)

    def plain(self) -> dict[str, Any]:
        """The document ``grids``."""
        return {"grids": [_plain(name, grid) for name, grid in sorted(self._grids.items()) if grid.status]}


def _plain(name: str, grid: _Grid) -> dict[str, Any]:
    return {
        "grid": name,
        **_stand(grid.status),
        "fills": list(grid.fills),
        "price": grid.price.plain(),
        "equity": grid.equity.plain(),
    }


def _stand(status: dict[str, Any]) -> dict[str, Any]:
    """What the record of a grid says, in decimal text."""
    tick, lot = _step(status, "tick"), _step(status, "lot")
    levels = [f"{ticks * tick:f}" for ticks in sorted(status.get("levels", ()))]
    orders = [
        {
            "id": one["id"],
            "side": one["side"],
            "price": f"{one['ticks'] * tick:f}",
            "qty": f"{one['lots'] * lot:f}",
            "filled": f"{one['filled'] * lot:f}",
        }
        for one in status.get("open_orders", ())
    ]
    return {
        "symbol": status["symbol"],
        "account": status.get("account"),
        "venue": status.get("venue"),
        "state": status["state"],
        "reason": status.get("reason", ""),
        "generation": status["generations"],
        "cause": status.get("cause", ""),
        "time_ms": status["time_ms"],
        "centre": f"{status['centre_ticks'] * tick:f}",
        "mark": f"{status['mark_ticks'] * tick:f}",
        "lower": levels[0] if levels else None,
        "upper": levels[-1] if levels else None,
        "levels": levels,
        "orders": orders,
        "fills_total": status["fills"],
        "books": {
            one: status[one]
            for one in ("grid_profit", "floating_pnl", "equity_change", "fees", "cash", "unexplained")
            if one in status
        },
    }


def _hold(status: dict[str, Any]) -> float | None:
    """What the inventory of the beginning would have gained, had nothing been traded."""
    start, mark = status.get("start_ticks"), status["mark_ticks"]
    if not start or not mark:
        return None
    return float(status["spec"]["lots"] * (mark - start) * _step(status, "tick") * _step(status, "lot"))


def _step(status: dict[str, Any], name: str) -> Decimal:
    return Decimal(status["spec"]["market"][name])


def _parsed(value: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
