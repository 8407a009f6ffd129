"""Many alerts closed at once: one record each, as of one alert that is closed alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from m1cep.alert_states import State
from m1cep.errors import AlertStateError
from streams import codec
from streams.alerts.desk import new_state, state_message
from streams.alerts.topic import every_alert, find_alerts, read_states, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from m1cep.alert_states import AlertState
    from streams.alerts.topic import Seen
    from streams.config import Settings
    from streams.custody.mail import Pen

_AT_ONCE = 500


class BulkClosing:
    """Alerts that are not closed yet, or that whoever closes them has not signed.

        closing = BulkClosing(settings, pen)
        closing.select(wanted, before_ms, told)
        for records in closing.close(by, note): ...

    What was written stays written when it is interrupted: said once more, it goes on with the rest.

    Args:
        settings: where the broker is.
        pen: of whom the custody policy names; None: nobody signs.

    Raises:
        ServerError: no broker answers, or it has no such topic.
    """

    def __init__(self, settings: Settings, pen: Pen | None = None) -> None:
        self._settings, self._pen = settings, pen
        self._states = read_states(settings).last
        #: Rule and key of the alerts that will be closed, by id; both are missing where nobody knows them.
        self.found: dict[str, dict[str, Any]] = {}

    def select(self, wanted: Callable[[Seen], bool], before_ms: int, told: Callable[[float], None]) -> None:
        """Those on the topic that were received before then.

        Args:
            wanted: says it of an alert.
            before_ms: epoch.
            told: is told of the part of the topic that is read, of 1.
        """
        for one in every_alert(self._settings, told):
            if one.received_ms < before_ms and wanted(one) and not self._is_done(one.id):
                self.found[one.id] = {"rule": one.alert.get("rule", ""), "key": one.alert.get("key")}

    def name(self, ids: Sequence[str], *, gone: bool = False) -> None:
        """Those with these ids.

        Args:
            ids: of alerts.
            gone: also such as the topic does not hold any more: custody's signers keep them for ever.

        Raises:
            AlertStateError: the topic does not hold one of them, nor was anything said of it.
        """
        left = [one for one in dict.fromkeys(ids) if not self._is_done(one)]
        unknown = [one for one in left if one not in self._states]
        seen = find_alerts(self._settings, unknown) if unknown else {}
        missing = [one for one in unknown if one not in seen]
        if missing and not gone:
            raise AlertStateError(
                f"there is no alert {missing[0]!r} on {codec.ALERTS}, nor was anything said of it ({len(missing)} such); "
                "with --gone it is closed all the same"
            )
        for one in left:
            alert = seen[one].alert if one in seen else {}
            self.found[one] = {"rule": alert.get("rule", ""), "key": alert.get("key")}

    def close(self, by: str, note: str) -> Iterator[list[AlertState]]:
        """Close them, some hundreds at a time: the records, when they are on the topic.

        Raises:
            AlertStateError: the note is too long.
        """
        with writer(self._settings, [codec.ALERT_STATES]) as send:
            ids = list(self.found)
            for first in range(0, len(ids), _AT_ONCE):
                now_ms = time.time_ns() // 1_000_000
                records = [self._record(one, by, note, now_ms) for one in ids[first : first + _AT_ONCE]]
                send(map(state_message, records))
                yield records

    def _record(self, alert_id: str, by: str, note: str, now_ms: int) -> AlertState:
        known, about = self._states.get(alert_id), self.found[alert_id]
        return new_state(known, about, alert_id, State.CLOSED, by, now_ms, note=note, pen=self._pen)

    def _is_done(self, alert_id: str) -> bool:
        known = self._states.get(alert_id)
        if known is None or known.state is not State.CLOSED:
            return False
        return self._pen is None or any(one.by == self._pen.sender for one in known.signed)
