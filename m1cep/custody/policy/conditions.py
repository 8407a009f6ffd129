"""What a rule of a policy can ask: for each key how it is read, and whether it holds.

A condition that holds says why, in words that go into a rejection's reason; "" where there is nothing to add to the request
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from m1cep.custody.policy.events import Severity
from m1cep.custody.request import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.custody.policy.facts import Facts
    from m1cep.custody.policy.reader import Node
    from m1cep.custody.request import Request

    #: People by group.
    Groups: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Context:
    """What a condition looks at."""

    request: Request
    facts: Facts
    now_ms: int


@dataclass(frozen=True, slots=True)
class Condition:
    """One line under ``when``.

    Attributes:
        holds: why it does, or None: it does not.
    """

    key: str
    holds: Callable[[Context], str | None]


class Of(StrEnum):
    """Whose releases are summed."""

    ACCOUNT = "account"
    VAULT = "vault"


_Holds: TypeAlias = "Callable[[Context], str | None]"


def _when(true: bool, why: str = "") -> str | None:
    return why if true else None


# -- about the request alone


def _asset(node: Node, _groups: Groups) -> _Holds:
    chain, slash, asset = node.name().partition("/")
    if not (slash and asset):
        node.refuse(f"expected chain/asset such as bitcoin/BTC, got {node.name()!r}")
    return lambda at: _when((at.request.chain, at.request.asset) == (chain, asset))


def _vaults(node: Node, _groups: Groups) -> _Holds:
    names = node.names()
    return lambda at: _when(at.request.vault in names)


def _chains(node: Node, _groups: Groups) -> _Holds:
    names = node.names()
    return lambda at: _when(at.request.chain in names)


def _accounts(node: Node, _groups: Groups) -> _Holds:
    names = node.names()
    return lambda at: _when(at.request.account in names)


def _kinds(node: Node, _groups: Groups) -> _Holds:
    kinds = node.items(lambda item: item.word(Kind))
    return lambda at: _when(at.request.kind in kinds)


def _requester_in(node: Node, groups: Groups) -> _Holds:
    people = groups[node.one_of(groups, "group")]
    return lambda at: _when(at.request.requester in people)


def _amount_above(node: Node, _groups: Groups) -> _Holds:
    limit = node.whole()
    return lambda at: _when(at.request.units > limit, f"the amount {at.request.units} is above {limit}")


def _amount_at_most(node: Node, _groups: Groups) -> _Holds:
    limit = node.whole(1)
    return lambda at: _when(at.request.units <= limit)


def _older_than(node: Node, _groups: Groups) -> _Holds:
    most = node.duration_ms()

    def holds(at: Context) -> str | None:
        age = at.now_ms - at.request.requested_ms
        return _when(age > most, f"it was requested {age} ms ago, longer than {most} ms")

    return holds


# -- about what was released before


def _spent_above(node: Node, _groups: Groups) -> _Holds:
    found = node.fields({"amount", "within", "of"}, ("amount", "within", "of"))
    limit, within, of = found["amount"].whole(), found["within"].duration_ms(), found["of"].word(Of)

    def holds(at: Context) -> str | None:
        before = at.facts.spent(at.request, at.now_ms - within, of_account=of is Of.ACCOUNT)
        total = sum(before) + at.request.units
        return _when(total > limit, f"{total} within {within} ms for this {of.value} is above {limit}")

    return holds


def _count_above(node: Node, _groups: Groups) -> _Holds:
    found = node.fields({"count", "within", "of"}, ("count", "within", "of"))
    limit, within, of = found["count"].whole(), found["within"].duration_ms(), found["of"].word(Of)

    def holds(at: Context) -> str | None:
        before = at.facts.spent(at.request, at.now_ms - within, of_account=of is Of.ACCOUNT)
        total = sum(1 for _ in before) + 1
        return _when(total > limit, f"{total} releases within {within} ms for this {of.value} are more than {limit}")

    return holds


# -- about the account


def _destination_not_listed_for(node: Node, _groups: Groups) -> _Holds:
    needed = node.duration_ms()

    def holds(at: Context) -> str | None:
        request = at.request
        since = at.facts.listed_since_ms(request.account, request.chain, request.destination)
        if since is None:
            return f"destination {request.destination} is not on the whitelist of account {request.account}"
        passed = at.now_ms - since
        return _when(
            passed < needed,
            f"destination {request.destination} is on the whitelist of account {request.account} for {max(0, passed)} ms, "
            f"and {needed} ms are needed",
        )

    return holds


def _credentials_changed_within(node: Node, _groups: Groups) -> _Holds:
    within = node.duration_ms()

    def holds(at: Context) -> str | None:
        changed = at.facts.credentials_changed_ms(at.request.account)
        if changed is None or at.now_ms - changed >= within:
            return None
        passed = max(0, at.now_ms - changed)
        return (
            f"password or second factor of account {at.request.account} changed {passed} ms ago, less than {within} ms"
        )

    return holds


def _open_alert(node: Node, _groups: Groups) -> _Holds:
    least = node.word(Severity)

    def holds(at: Context) -> str | None:
        found = at.facts.open_alerts(at.request.account, least)
        return f"alert {found[0].alert_id} ({found[0].rule}) is open" if found else None

    return holds


KEYS: Mapping[str, Callable[[Node, Groups], _Holds]] = {
    "asset": _asset,
    "vaults": _vaults,
    "chains": _chains,
    "accounts": _accounts,
    "kinds": _kinds,
    "requester_in": _requester_in,
    "amount_above": _amount_above,
    "amount_at_most": _amount_at_most,
    "older_than": _older_than,
    "spent_above": _spent_above,
    "count_above": _count_above,
    "destination_not_listed_for": _destination_not_listed_for,
    "credentials_changed_within": _credentials_changed_within,
    "open_alert": _open_alert,
}
#: Those that count minor units, which mean something only for one asset.
OF_ONE_ASSET = ("amount_above", "amount_at_most", "spent_above", "count_above")


def conditions(node: Node, groups: Groups) -> tuple[Condition, ...]:
    """What stands under ``when``.

    Raises:
        PolicyError: a key is unknown or its value is wrong, or an amount is given without the asset that it counts.
    """
    found = node.fields(KEYS)
    if not found:
        node.refuse("expected at least one condition; leave 'when' out where the rule is to match always")
    for key in OF_ONE_ASSET:
        if key in found and "asset" not in found:
            found[key].refuse(
                "minor units differ from asset to asset", hint="add the asset, such as asset: bitcoin/BTC"
            )
    return tuple(Condition(key, KEYS[key](value, groups)) for key, value in found.items())
