"""Alerts and holds of accounts: what was raised, what is over, what was reopened.

    raised ──closed──▶ over ──reopened──▶ stands again          the later of closing and reopening counts

One that nobody closes stays: none ends by itself, or money could move because nobody looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from m1cep.custody.policy.events import AlertClosed, AlertRaised, AlertReopened, Held, HoldAction, Lifted, Severity
from m1cep.custody.policy.raised import One, Raised
from m1cep.custody.policy.winning import close

if TYPE_CHECKING:
    from collections.abc import Iterator


class OpenAlerts(NamedTuple):
    """How many alerts nobody has closed.

    Attributes:
        alerts: of all accounts.
        oldest_ms: time of the oldest; None: there is none.
    """

    alerts: int
    oldest_ms: int | None


class Standing(msgspec.Struct):
    """What stands against accounts.

    Attributes:
        alerts, holds: those that were raised; of those that are over only what ended lately, which may be reopened.
        closed: ids of alerts and of holds that are over, with the time of that; reopened: the same of those that are not.
    """

    alerts: Raised = msgspec.field(default_factory=Raised)
    holds: Raised = msgspec.field(default_factory=Raised)
    closed: dict[str, int] = {}
    reopened: dict[str, int] = {}

    def apply(self, event: AlertRaised | AlertClosed | AlertReopened | Held | Lifted) -> None:
        """Take an event in."""
        match event:
            case AlertRaised():
                self.alerts.put(event.account, One(event.alert_id, (event.rule, event.severity.value), event.time_ms))
            case AlertClosed():
                close(self.closed, f"alert {event.alert_id}", event.time_ms)
            case AlertReopened():
                close(self.reopened, event.alert_id, event.time_ms)
            case Held():
                self.holds.put(event.account, One(event.action_id, _kind_of(event), event.time_ms))
            case Lifted():
                close(self.closed, f"hold {event.action_id}", event.time_ms)

    # -- to ask

    def open_alerts(self, account: str, least: Severity) -> list[AlertRaised]:
        """Those on the account that are at least so grave, the gravest first."""
        found = [
            alert
            for one in self.alerts.of(account)
            if not self._is_over("alert", one.name) and (alert := _alert(account, one)).severity.rank >= least.rank
        ]
        return sorted(found, key=lambda alert: (-alert.severity.rank, alert.time_ms, alert.alert_id, alert.rule))

    def on_hold(self, account: str) -> list[Held]:
        """The actions that stand on the account, the oldest first."""
        found = [
            Held(one.name, HoldAction(one.kind[0]), account, one.time_ms, _cause_of(one))
            for one in self.holds.of(account)
            if not self._is_over("hold", one.name)
        ]
        return sorted(found, key=lambda hold: (hold.time_ms, hold.action_id, hold.action, hold.alert_id))

    def every_open_alert(self) -> Iterator[AlertRaised]:
        """Of every account."""
        return (_alert(account, one) for account, one in self.alerts.all() if not self._is_over("alert", one.name))

    def count_open_alerts(self) -> OpenAlerts:
        """How many there are in all. That looks at each of them."""
        times = [one.time_ms for _, one in self.alerts.all() if not self._is_over("alert", one.name)]
        return OpenAlerts(len(times), min(times, default=None))

    def _is_over(self, thing: str, name: str) -> bool:
        """Whether an alert or hold was closed, and not reopened since."""
        ended = self.closed.get(f"{thing} {name}")
        return ended is not None and ended > self.reopened.get(name, -1)

    # -- to keep

    def forget(self, before_ms: int) -> None:
        """Let go of what was over before then; of what stands nothing is forgotten."""
        if any(ms < before_ms for ms in self.closed.values()):
            self.alerts.keep(lambda name: not self._was_over("alert", name, before_ms))
            self.holds.keep(lambda name: not self._was_over("hold", name, before_ms))
            self.closed = {key: ms for key, ms in self.closed.items() if ms >= before_ms}
        # Of what stands it is kept however old it is: else an old closing that is said again would end it.
        if old := {name for name, ms in self.reopened.items() if ms < before_ms}:
            stand = {one.name for raised in (self.alerts, self.holds) for _, one in raised.all() if one.name in old}
            self.reopened = {name: ms for name, ms in self.reopened.items() if name not in old or name in stand}

    def _was_over(self, thing: str, name: str, before_ms: int) -> bool:
        return self._is_over(thing, name) and self.closed[f"{thing} {name}"] < before_ms

    def check(self) -> None:
        """Look at every record.

        Raises:
            CustodyError: one is none.
        """
        self.alerts.check()
        self.holds.check()


class _Whole(msgspec.Struct):
    """What stood in version 1 of facts, where each was kept whole; ``over``: what did not stand any more."""

    alerts: dict[str, AlertRaised]
    holds: dict[str, Held]
    over: dict[str, AlertRaised | Held]
    closed: dict[str, int]
    reopened: dict[str, int]


def of_version_1(state: dict[str, Any]) -> dict[str, Any]:
    """The state of facts in the form of now.

    Raises:
        msgspec.ValidationError: it is none.
    """
    whole = msgspec.convert(state, _Whole)
    standing = Standing(closed=whole.closed, reopened=whole.reopened)
    for event in (*whole.alerts.values(), *whole.holds.values(), *whole.over.values()):
        standing.apply(event)
    others = {name: value for name, value in state.items() if name not in _Whole.__struct_fields__}
    return {**others, "standing": msgspec.to_builtins(standing)}


def _alert(account: str, one: One) -> AlertRaised:
    rule, severity = one.kind
    return AlertRaised(one.name, rule, Severity(severity), account, one.time_ms)


def _kind_of(event: Held) -> tuple[str, str]:
    """Most have the id of their alert: left out, so that there are few kinds."""
    return event.action.value, "" if event.alert_id == event.action_id else f"-{event.alert_id}"


def _cause_of(one: One) -> str:
    return one.kind[1].removeprefix("-") if one.kind[1] else one.name
