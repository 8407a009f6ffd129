"""Rules of one partition that have failed: they run there no more until they are deployed anew; an alert says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from m1cep import Alert
from m1cep.model.alert import AlertIds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep import RuleFailure
    from streams.rules.book import Standing

#: In alerts, in place of a rule's id.
QUARANTINED = "m1cep-rule-quarantined"


class Failed(NamedTuple):
    """Which deployment of a rule failed, and why."""

    version: str
    stamp_ms: int
    reason: str


class Quarantine:
    """What has failed in one partition.

    A rule that fails on the events of one partition may be of use for the accounts of the others, and a partition knows only of
    its own events when it is read again after a crash: so each has a quarantine of its own.

    Args:
        number: of the partition.
        state: as ``state`` gave it.
    """

    def __init__(self, number: int = 0, state: Mapping[str, Any] | None = None) -> None:
        self._number = number
        self.failed = {rule: Failed(*facts) for rule, facts in (state or {}).items()}

    def holds(self, standing: Standing) -> bool:
        """Whether this deployment of the rule has failed here."""
        failed = self.failed.get(standing.id)
        return failed is not None and (failed.version, failed.stamp_ms) == (standing.version, standing.stamp_ms)

    def keep_to(self, standings: Iterable[Standing]) -> None:
        """Forget what has been deployed anew, or is gone."""
        held = {standing.id for standing in standings if self.holds(standing)}
        self.failed = {rule: failed for rule, failed in self.failed.items() if rule in held}

    def take(self, failure: RuleFailure, standing: Standing, time: int) -> Alert:
        """A rule has failed; the alert that says so.

        Args:
            failure: of the rule.
            standing: of the rule.
            time: event time of the partition (epoch, milliseconds).
        """
        reason = str(failure).splitlines()[0]
        if failure.line is not None:
            reason += f" (line {failure.line} of the rule)"
        self.failed[standing.id] = Failed(standing.version, standing.stamp_ms, reason)
        key = {"rule": standing.id}
        # What tells it from others does not depend on the batch: read again after a crash, it is the same alert.
        identity = [standing.version, str(standing.stamp_ms), str(self._number)]
        row = {"rule": standing.id, "version": standing.version, "partition": self._number, "reason": reason}
        return Alert(AlertIds(QUARANTINED, "1").of(key, identity), QUARANTINED, "high", key, row, time, [])

    def state(self) -> dict[str, Any]:
        """For a snapshot."""
        return {rule: list(failed) for rule, failed in self.failed.items()}
