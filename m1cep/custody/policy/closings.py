"""What people sign about alerts: that one is dealt with. Whoever may write to a topic can say so; only who signs is heeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.canonical import tagged
from m1cep.custody.policy.decide import CLOCKS_DIFFER_MS
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from m1cep.alert_states import AlertState, Closing
    from m1cep.custody.policy.approvals import Verify
    from m1cep.custody.policy.spec import Policy


def closing_message(alert_id: str, closing: Closing) -> bytes:
    """What is signed: this alert, this person, this time, and nothing else."""
    return tagged("alert-closing", {"alert": alert_id, "by": closing.by, "time_ms": closing.time_ms})


def closed_ms(policy: Policy, record: AlertState, now_ms: int, verify: Verify) -> int:
    """Since when an alert is closed, if enough of the people whom the policy names under ``close_alerts`` have signed that.

    Args:
        policy: the signer's own.
        record: that says that the alert is closed.
        now_ms: epoch, the signer's clock.
        verify: a person's signature.

    Returns:
        The earliest time among the newest signatures that it takes, epoch ms. An alert that was reopened then or later is not
        closed by them.

    Raises:
        CustodyError: the policy lets nobody close alerts, or not enough of them have signed.
    """
    who = policy.close_alerts
    if who is None:
        raise CustodyError("the policy has no `close_alerts`: closing an alert ends nothing here")
    signed: dict[str, int] = {}
    for one in record.signed:
        counts = (
            one.by in policy.groups[who.group]
            and one.time_ms <= now_ms + CLOCKS_DIFFER_MS
            and verify(policy.people[one.by], closing_message(record.alert, one), one.signature)
        )
        if counts:
            signed[one.by] = max(one.time_ms, signed.get(one.by, 0))
    if len(signed) < who.count:
        raise CustodyError(
            f"expected {who.count} of {who.group} to have signed that alert {record.alert} is closed, "
            f"got {len(signed)}: {', '.join(sorted(signed)) or 'nobody'}"
        )
    return sorted(signed.values())[-who.count]
