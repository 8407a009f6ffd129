"""Intermediate results of accounts, for other services to read in the cache; and what was seen, for screening again.

m1cep:account:NAME     a hash: as_of_ms, open_orders, exposure (with what may still be filled), holdings, frozen, orders_60s,
                       value_60s
m1cep:alerts:NAME      the last alerts: a sorted set by event time (ms) of JSON
m1cep:seen:WHAT:VALUE  a hash: by account, where an address (or an account) was seen last

Amounts are exact, as text. Of a time of day only ``as_of_ms`` says anything: a silent account's velocity is of then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from m1cep.errors import PretradeError
from m1cep.pretrade import snapshot
from m1cep.pretrade.amounts import DIGITS, text
from m1cep.pretrade.book import Book
from m1cep.pretrade.limits import Rules
from m1cep.pretrade.records import Hearing
from m1cep.runtime.addresses import normal_address
from streams.cache import keys

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from m1cep.pretrade.holdings import Account

LAST_ALERTS = 20
WINDOW_MS = 60_000
_KEPT_S = 7 * 86_400
#: So many accounts, before those of which there is nothing to tell any more are looked for.
MOST_ACCOUNTS = 10_000
_KINDS = {"orders", "fills", "accounts", "alerts", "actions"}


class _Seen(msgspec.Struct):
    account: str
    event_id: str = ""
    kind: str = ""
    address: str | None = None
    ts: int | str = 0


class _Placed(msgspec.Struct):
    account: str
    action: str
    qty: float
    price: float | None = None


class _Alert(msgspec.Struct):
    id: str
    rule: str
    severity: str
    event_time: int
    key: dict[str, Any]
    row: dict[str, Any]


_SEEN = msgspec.json.Decoder(_Seen, strict=False)
_PLACED = msgspec.json.Decoder(_Placed, strict=False)
_ALERT = msgspec.json.Decoder(_Alert, strict=False)


@dataclass
class Changes:
    """What is to be written; putting it back loses nothing, writing it twice does no harm."""

    accounts: set[str] = field(default_factory=set)
    alerts: dict[str, dict[bytes, int]] = field(default_factory=dict)  # by account, JSON to event time
    seen: dict[tuple[str, str, str], bytes] = field(default_factory=dict)  # by what, value, account

    def __bool__(self) -> bool:
        return bool(self.accounts or self.alerts or self.seen)

    def put_back(self, older: Changes) -> None:
        """What could not be written; what has come since counts more."""
        self.accounts |= older.accounts
        for account, known in older.alerts.items():
            self.alerts[account] = _newest(known | self.alerts.get(account, {}))
        self.seen = older.seen | self.seen


class Results:
    """The state of one partition's accounts.

    Args:
        closed: ids of alerts that people have closed; may change, see ``restate``.
    """

    def __init__(self, closed: Container[str] = frozenset()) -> None:
        self._book, self._closed = Book(Rules("")), closed
        self._hearing = Hearing(self._book, None)
        self._placed: dict[str, deque[tuple[int, float]]] = {}  # time in ms and value of new orders in the window
        self._as_of_ms: dict[str, int] = {}
        self.changes = Changes()
        self._on_their_way = Changes()  # taken, and not said to be written
        self.unread = 0  # records that do not fit
        self._most_accounts = MOST_ACCOUNTS

    def hear(self, kind: str, value: bytes | None, record_ms: int) -> None:
        """Take a record in; one that does not fit is counted, and known to the dead letters of who judges it.

        Args:
            kind: orders, fills, accounts, alerts or actions.
            value: JSON.
            record_ms: time of the record.
        """
        try:
            if kind == "alerts":
                self._alert(_ALERT.decode(value or b""))
                return
            seen = _SEEN.decode(value or b"")
            placed = _PLACED.decode(value or b"") if kind == "orders" else None
            self._hearing.hear(kind, value, record_ms)
        except (PretradeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unread += 1
            return
        if placed is not None:
            self._order(placed, record_ms)
        self._note(kind, seen, record_ms)

    def restate(self, alerts: Iterable[str]) -> None:
        """Of these alerts something was said: tell anew of the accounts that they have frozen."""
        for alert in alerts:
            self.changes.accounts |= self._book.accounts_of(alert)

    def _note(self, kind: str, seen: _Seen, record_ms: int) -> None:
        account = seen.account
        self.changes.accounts.add(account)
        self._as_of_ms[account] = max(record_ms, self._as_of_ms.get(account, 0))
        if kind in {"orders", "fills", "accounts"}:
            about = orjson.dumps({"kind": seen.kind or kind, "event_id": seen.event_id, "at_ms": record_ms})
            self.changes.seen["account", account, account] = about
            if seen.address:
                self.changes.seen["address", normal_address(seen.address), account] = about

    def _order(self, order: _Placed, record_ms: int) -> None:
        if order.action == "new":
            placed = self._placed.setdefault(order.account, deque())
            placed.append((record_ms, order.qty * (order.price or 0.0)))
            while placed and placed[0][0] <= record_ms - WINDOW_MS:
                placed.popleft()

    def _alert(self, alert: _Alert) -> None:
        account = alert.key.get("account") or alert.row.get("account")
        if isinstance(account, str):
            about = {"id": alert.id, "rule": alert.rule, "severity": alert.severity, "event_time": alert.event_time}
            known = self.changes.alerts.setdefault(account, {})
            known[orjson.dumps(about)] = alert.event_time
            if len(known) > 2 * LAST_ALERTS:
                self.changes.alerts[account] = _newest(known)

    def lapse(self, read_until_ms: int) -> None:
        """Let go of orders whose last fills should have come by now, and of accounts that were not heard of for long."""
        self._book.lapse(read_until_ms)
        if len(self._as_of_ms) > self._most_accounts:
            self._forget_silent()
            self._most_accounts = max(MOST_ACCOUNTS, 2 * len(self._as_of_ms))

    def _forget_silent(self) -> None:
        """What the cache has let go of by itself; an account stays while there is a position, an order or a freeze to tell of."""
        since_ms = max(self._as_of_ms.values()) - 1_000 * _KEPT_S
        for name in [name for name, at_ms in self._as_of_ms.items() if at_ms < since_ms]:
            self._placed.pop(name, None)
            to_be_written = name in self.changes.accounts or name in self._on_their_way.accounts
            if name not in self._book.accounts and not to_be_written:
                del self._as_of_ms[name]

    def take_changes(self) -> Changes:
        """What is to be written since the last time. It stays part of the state until ``wrote`` says how that went."""
        self._on_their_way, self.changes = self.changes, Changes()
        return self._on_their_way

    def wrote(self, *, all_of_it: bool) -> None:
        """How the changes that were taken last fared; those that were not written are to be written again."""
        if not all_of_it:
            self.changes.put_back(self._on_their_way)
        self._on_their_way = Changes()

    @property
    def unwritten(self) -> int:
        """How much has been heard that the cache does not have and nothing here remembers otherwise."""
        return sum(len(c.seen) + sum(map(len, c.alerts.values())) for c in (self.changes, self._on_their_way))

    def fields(self, name: str) -> dict[str, Any]:
        """The hash of an account."""
        account = self._book.accounts.get(name)
        placed = self._placed.get(name, ())
        return {
            "as_of_ms": self._as_of_ms.get(name, 0),
            "open_orders": 0 if account is None else account.open,
            "exposure": text(0 if account is None else self._exposure(account), 2 * DIGITS),
            "holdings": orjson.dumps({} if account is None else self._holdings(account)),
            "frozen": orjson.dumps({} if account is None else self._frozen(account)),
            "orders_60s": len(placed),
            "value_60s": round(sum(value for _, value in placed), 2),
        }

    def _frozen(self, account: Account) -> dict[str, str]:
        return {alert: rule for alert, rule in account.frozen.items() if alert not in self._closed}

    def _exposure(self, account: Account) -> int:
        return sum(holding.worst * self._price(symbol) for symbol, holding in account.holdings.items())

    def _holdings(self, account: Account) -> dict[str, dict[str, str]]:
        return {
            symbol: {
                "position": text(h.position),
                "open_buys": text(h.buys),
                "open_sells": text(h.sells),
                "worst": text(h.worst),
                "price": text(self._price(symbol)),
            }
            for symbol, h in account.holdings.items()
        }

    def _price(self, symbol: str) -> int:
        market = self._book.markets.get(symbol)
        return 0 if market is None or market.price is None else market.price

    # -- snapshots

    def state(self) -> bytes:
        """All that must survive: also what was seen and is not written yet."""
        unwritten = Changes(alerts=dict(self.changes.alerts), seen=self.changes.seen)
        unwritten.put_back(self._on_their_way)
        seen = [[*key, about] for key, about in unwritten.seen.items()]
        alerts = [[name, raw, at] for name, known in unwritten.alerts.items() for raw, at in known.items()]
        placed = {name: list(values) for name, values in self._placed.items()}
        return msgspec.msgpack.encode([snapshot.dump(self._book), seen, alerts, placed, self._as_of_ms])

    def load(self, data: bytes) -> None:
        """The reverse, into fresh results. Everything is written once more: the cache may have lost it."""
        book, seen, alerts, placed, self._as_of_ms = msgspec.msgpack.decode(data)
        snapshot.load(self._book, book, max(self._as_of_ms.values(), default=0))
        self._placed = {name: deque(map(tuple, values)) for name, values in placed.items()}
        self.changes.seen = {(what, value, account): about for what, value, account, about in seen}
        for name, raw, at in alerts:
            self.changes.alerts.setdefault(name, {})[raw] = at
        self.changes.accounts = set(self._as_of_ms)


def write(client: Any, changes: Changes, fields: dict[str, dict[str, Any]]) -> None:
    """Write to the cache, in one round trip.

    Raises:
        RedisError: it did not take it; perhaps it did in part.
    """
    pipe = client.pipeline(transaction=False)
    for name, values in fields.items():
        key = f"{keys.PREFIX}account:{name}"
        pipe.hset(key, mapping=values)
        pipe.expire(key, _KEPT_S)
    for name, known in changes.alerts.items():
        key = f"{keys.PREFIX}alerts:{name}"
        pipe.zadd(key, known)
        pipe.zremrangebyrank(key, 0, -LAST_ALERTS - 1)
        pipe.expire(key, _KEPT_S)
    for (what, value, account), about in changes.seen.items():
        pipe.hset(keys.seen(what, value), account, about)
    pipe.execute()


def parts(changes: Changes, size: int) -> Iterable[Changes]:
    """The same in parts of about ``size`` commands each."""
    accounts, alerts, seen = list(changes.accounts), list(changes.alerts.items()), list(changes.seen.items())
    while accounts or alerts or seen:
        yield Changes(set(accounts[:size]), dict(alerts[:size]), dict(seen[:size]))
        del accounts[:size], alerts[:size], seen[:size]


def _newest(known: dict[bytes, int]) -> dict[bytes, int]:
    return dict(sorted(known.items(), key=lambda item: item[1])[-LAST_ALERTS:])
