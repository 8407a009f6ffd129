"""The decision about a request. Every signer makes it for itself, on its own policy, facts and clock.

Guards come first and hold whatever a file says; then the first rule that matches decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.custody.policy.conditions import Context
from m1cep.custody.policy.events import Severity
from m1cep.custody.policy.spec import Decision, Verdict
from m1cep.custody.request import Kind, shown_time

if TYPE_CHECKING:
    from m1cep.custody.policy.facts import Facts
    from m1cep.custody.policy.spec import Policy
    from m1cep.custody.request import Request

CLOCKS_DIFFER_MS = 60_000  # so much later than ours may a request's time be


def decide(policy: Policy, request: Request, facts: Facts, now_ms: int) -> Decision:
    """What the policy says of a request at this moment.

    Args:
        policy: the signer's own.
        request: already checked by ``check_request``.
        facts: the signer's own.
        now_ms: epoch.
    """
    at = Context(request, facts, now_ms)
    return _refused(policy, at) or _ruled(policy, at)


def _refused(policy: Policy, at: Context) -> Decision | None:
    """Guards that need no rule: time, holds, alerts."""
    request, now_ms = at.request, at.now_ms
    if now_ms >= request.expires_ms:
        return Decision(
            Verdict.REJECT, "expired", f"the request expired at {shown_time(request.expires_ms)}", policy.hash
        )
    if request.requested_ms > now_ms + CLOCKS_DIFFER_MS:
        return Decision(
            Verdict.WAIT, "not-yet", f"its time {shown_time(request.requested_ms)} is yet to come", policy.hash
        )
    # An escrow waits for alerts to be closed, whatever they are; everything else is rejected for grave ones.
    escrow = request.kind is Kind.ESCROW
    blocked = Verdict.WAIT if escrow else Verdict.REJECT
    if holds := at.facts.holds(request.account):
        first = holds[0]
        alerts = tuple(hold.alert_id for hold in holds if hold.alert_id)
        cause = f"of alert {first.alert_id}" if first.alert_id else f"of action {first.action_id}"
        reason = f"account {request.account} is under {first.action.value} because {cause}"
        return Decision(blocked, "hold", reason, policy.hash, alerts=alerts)
    if found := at.facts.open_alerts(request.account, Severity.INFO if escrow else policy.refuse_alerts):
        named = ", ".join(f"{alert.alert_id} ({alert.rule}, {alert.severity.value})" for alert in found[:5])
        reason = f"open alerts on account {request.account}: {named}"
        return Decision(blocked, "alert", reason, policy.hash, alerts=tuple(alert.alert_id for alert in found))
    return None


def _ruled(policy: Policy, at: Context) -> Decision:
    for rule in policy.rules:
        why = [condition.holds(at) for condition in rule.when]
        if None in why:
            continue
        details = "; ".join(text for text in why if text)
        if rule.then is Verdict.REJECT:
            return Decision(
                Verdict.REJECT, rule.name, f"{rule.reason}: {details}" if details else rule.reason, policy.hash
            )
        waiting = _not_ready(policy, at)
        if waiting is not None:
            return waiting
        if rule.approvers is None:
            return Decision(Verdict.ALLOW, rule.name, details, policy.hash)
        group, count = rule.approvers.group, rule.approvers.count
        reason = f"needs {count} of {group}" + (f": {details}" if details else "")
        return Decision(Verdict.APPROVE, rule.name, reason, policy.hash, group, count)
    raise AssertionError("the last rule of a policy has no conditions")  # the parser sees to it


def _not_ready(policy: Policy, at: Context) -> Decision | None:
    """Guards of a request that a rule would let through: its time, its lock, the vault's balance."""
    request = at.request
    if at.now_ms < request.not_before_ms:
        return Decision(Verdict.WAIT, "not-yet", f"its time comes at {shown_time(request.not_before_ms)}", policy.hash)
    if request.kind is Kind.PAYOUT:
        return _settled(policy, at)
    return _lock(policy, at) or _solvency(policy, at)


def _settled(policy: Policy, at: Context) -> Decision | None:
    """Of a payout: what it pays is locked for exactly this, and not paid by another. Being locked it is in no balance."""
    request, facts = at.request, at.facts
    found = facts.lock(request.pays_out)
    if found is None or not facts.lock_is_settled(request.pays_out):
        reason = f"the release against the lock of request {request.pays_out} is not known to have happened"
        return Decision(Verdict.WAIT, "payout", reason, policy.hash)
    is_it = (request.vault, request.chain, request.asset, request.amount, request.destination)
    expected = (found.vault, found.chain, found.asset, found.amount, found.payee or "nobody")
    if is_it != expected:
        reason = f"locked for it is {' '.join(expected)}, asked for is {' '.join(is_it)}"
        return Decision(Verdict.REJECT, "payout", reason, policy.hash)
    if others := [one.request_id for one in facts.payouts(request.pays_out) if one.request_id != request.id]:
        reason = f"the lock is paid out by {', '.join(sorted(others))}, or may yet be"
        return Decision(Verdict.REJECT, "payout", reason, policy.hash)
    return None


def _lock(policy: Policy, at: Context) -> Decision | None:
    wanted = at.request.lock
    if wanted is None:
        return None
    if at.facts.lock_was_returned(at.request.id):
        return Decision(Verdict.REJECT, "lock", "the lock on the other side was given back", policy.hash)
    found = at.facts.lock(at.request.id)
    if found is None:
        return Decision(Verdict.WAIT, "lock", "nothing is locked on the other side yet", policy.hash)
    is_it = (found.vault, found.chain, found.asset, found.amount, found.payee)
    expected = (wanted.vault, wanted.chain, wanted.asset, wanted.amount, wanted.payee)
    if is_it != expected:
        reason = f"expected a lock of {' '.join(expected)}, found one of {' '.join(is_it)}"
        return Decision(Verdict.REJECT, "lock", reason, policy.hash)
    return None


def _solvency(policy: Policy, at: Context) -> Decision | None:
    request = at.request
    available = at.facts.available(request)
    where = f"{request.chain}/{request.asset} in vault {request.vault}"
    if available is None:
        return Decision(Verdict.WAIT, "solvency", f"the balance of {where} is not known yet", policy.hash)
    if available < request.units:
        reason = f"only {available} of {where} is free, and {request.units} is asked for"
        return Decision(Verdict.REJECT, "solvency", reason, policy.hash)
    return None
