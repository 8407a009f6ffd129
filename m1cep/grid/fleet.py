"""Many grids that read one log: which of them a record is for, what they answer, what an operator must hear.

A log is a sequence of records of one partition, each with a time. A record with a key is for the grid of that name; one without
is for all to whom it applies: the time, a price of their symbol, a halt of their account or symbol. The same log gives the same
commands, whoever reads it and however often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from m1cep.errors import GridError
from m1cep.grid import wire
from m1cep.grid.machine import Grid, Halt, Mode, Price, Start, Tick
from m1cep.model.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.grid.machine import Event
    from m1cep.grid.orders import Command

#: A grid that waits so long for its orders to end needs somebody to look at the venue.
STUCK_MS = 30_000


@dataclass(slots=True)
class Member:
    """A grid, whose it is, and where it trades.

    Attributes:
        account: that the orders are for.
        venue: name of the venue.
        barrier_ms: since when it waits for the end of its orders; None: it does not.
        warned: whether somebody was told so.
    """

    grid: Grid
    account: str
    venue: str
    barrier_ms: int | None = None
    warned: bool = False


@dataclass(slots=True)
class Answer:
    """What follows from a record.

    Attributes:
        commands: for the venue, with the grid that gives each, in their order.
        alerts: for the operator.
        touched: grids that may stand otherwise than before.
    """

    commands: list[tuple[Member, Command]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class Fleet:
    """The grids of one partition of the log.

    Attributes:
        members: by the grid's name.
    """

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    @property
    def wake_ms(self) -> int | None:
        """Before then the time alone makes nothing due; None: there is no grid."""
        return min((member.grid.state.wake_ms for member in self.members.values()), default=None)

    def take(self, time_ms: int, name: str | None, plain: Mapping[str, Any], answer: Answer) -> None:
        """One record of the log; what follows is added to ``answer``.

        Args:
            time_ms: of the record: the grids' clock.
            name: its key; None: it is for all.
            plain: its value.
            answer: added to.

        Raises:
            GridError: the record makes no sense; nothing has changed.
        """
        kind = plain.get("type")
        if name is None:
            self._tell_all(time_ms, kind, plain, answer)
            return
        event = wire.event(plain)
        member = self.members.get(name)
        if isinstance(event, Start):
            member = self._start(name, member, plain)
        elif member is None:
            raise GridError(f"there is no grid {name!r}: start it first")
        self._tell(member, (Tick(time_ms), event), time_ms, answer)

    def _start(self, name: str, member: Member | None, plain: Mapping[str, Any]) -> Member:
        spec = wire.spec(plain.get("spec"))
        account, venue = plain.get("account"), plain.get("venue")
        if not (isinstance(account, str) and isinstance(venue, str) and account and venue and name):
            raise GridError(
                f"expected a grid's start to name grid, account and venue, got {name!r}, {account!r}, {venue!r}"
            )
        if member is None:
            member = self.members[name] = Member(Grid(name, spec), account, venue)
        elif (member.grid.state.spec, member.account, member.venue) != (spec, account, venue):
            raise GridError(
                f"there is a grid {name!r} already (account {member.account}, {member.grid.state.mode.value}), and it is "
                "another one: a name is used once"
            )
        return member

    def _tell_all(self, time_ms: int, kind: Any, plain: Mapping[str, Any], answer: Answer) -> None:
        match kind:
            case "tick":
                event: Event = Tick(time_ms)
            case "price" | "halt":
                event = wire.event(plain)
            case _:
                raise GridError(f"expected a record for all grids to be a tick, price or halt, got {kind!r}")
        symbol, account = plain.get("symbol"), plain.get("account")
        if isinstance(event, Price) and not symbol:
            raise GridError("expected a price to name its symbol")
        for member in list(self.members.values()):
            concerned = symbol in {None, member.grid.state.spec.market.symbol} and account in {None, member.account}
            events = (Tick(time_ms), event) if concerned and isinstance(event, Price | Halt) else (Tick(time_ms),)
            self._tell(member, events, time_ms, answer)

    def _tell(self, member: Member, events: Sequence[Event], time_ms: int, answer: Answer) -> None:
        state = member.grid.state
        before, mode = state.quarantined, state.mode
        given = len(answer.commands)
        for event in events:
            answer.commands += [(member, command) for command in member.grid.handle(event)]
        came = any(not isinstance(event, Tick) for event in events) or len(answer.commands) > given
        if came or state.quarantined > before or state.mode is not mode:
            answer.touched.add(state.name)
        if state.quarantined > before:
            answer.alerts.append(_quarantined(member, time_ms))
        if state.mode is not Mode.CANCELLING:
            member.barrier_ms, member.warned = None, False
        elif member.barrier_ms is None:
            member.barrier_ms = time_ms
        elif not member.warned and time_ms - member.barrier_ms > STUCK_MS:
            member.warned = True
            answer.alerts.append(_stuck(member, time_ms))

    # -- to keep

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            name: {
                "account": m.account,
                "venue": m.venue,
                "barrier_ms": m.barrier_ms,
                "warned": m.warned,
                "grid": m.grid.snapshot(),
            }
            for name, m in self.members.items()
        }

    @classmethod
    def restore(cls, kept: Mapping[str, Any]) -> Fleet:
        """As it was.

        Raises:
            GridError: this is no snapshot of grids, or one of another version.
        """
        fleet = cls()
        for name, m in kept.items():
            grid = Grid.restore(m["grid"])
            fleet.members[name] = Member(grid, m["account"], m["venue"], m["barrier_ms"], m["warned"])
        return fleet


def _quarantined(member: Member, time_ms: int) -> Alert:
    """A report that cannot be true was put aside."""
    state = member.grid.state
    newest = state.quarantine[-1]
    row = {"reason": newest.reason, "kind": newest.kind, "report": newest.report, "quarantined": state.quarantined}
    return _alert(member, "grid-quarantine", "high", row, time_ms, f"quarantined:{state.quarantined}")


def _stuck(member: Member, time_ms: int) -> Alert:
    """The orders of a generation do not end, or their fills do not come."""
    state = member.grid.state
    waiting = [order.id for order in state.orders.values() if not order.settled]
    row = {"waiting_ms": time_ms - (member.barrier_ms or 0), "orders": waiting, "generation": state.generation}
    return _alert(member, "grid-stuck", "critical", row, time_ms, f"barrier:{member.barrier_ms}")


def _alert(member: Member, rule: str, severity: str, row: dict[str, Any], time_ms: int, once: str) -> Alert:
    name = member.grid.state.name
    digest = blake2b(f"{rule}\0{name}\0{once}".encode(), digest_size=16).hexdigest()
    key = {"account": member.account}
    return Alert(digest, rule, severity, key, {"grid": name, **row}, time_ms, [])
