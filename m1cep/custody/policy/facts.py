"""What a signer knows of accounts and vaults, built from events and nothing else.

Events may come twice and in any order: for every thing there is a word that wins (closed over raised, the later of
closed and reopened, the newest over older ones, released over reserved), so the same set of events gives the same facts.

An alert that nobody closes stays: none ends by itself, or money could move because nobody looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from m1cep.custody.policy.events import (
    AlertClosed,
    AlertRaised,
    AlertReopened,
    Credential,
    CredentialChanged,
    DestinationListed,
    Held,
    Lifted,
    LockReturned,
    LockSettled,
    LockStands,
    Spending,
    Spent,
    VaultBalance,
)
from m1cep.custody.policy.standing import Standing, of_version_1
from m1cep.custody.policy.winning import close, keep_larger, listing_order, spending_order
from m1cep.custody.request import PAYOUT
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.custody.policy.events import FactEvent, Severity
    from m1cep.custody.policy.standing import OpenAlerts
    from m1cep.custody.request import Request

VERSION = 2


class _State(msgspec.Struct):
    """All that is remembered; by id where things have one.

    Attributes:
        standing: alerts and holds.
        credentials: by account and kind of change, when the last one was.
        listed: by account, chain and destination, the last change.
        spendings: by request.
        balances: by vault, chain and asset.
        locks: by request; returned: those given back, settled: those used up, with the time of that.
        forgotten_ms: spendings and locks before it are not taken in any more.
    """

    standing: Standing = msgspec.field(default_factory=Standing)
    credentials: dict[str, dict[Credential, int]] = {}
    listed: dict[str, dict[str, DestinationListed]] = {}
    spendings: dict[str, Spending] = {}
    balances: dict[str, VaultBalance] = {}
    locks: dict[str, LockStands] = {}
    returned: dict[str, int] = {}
    settled: dict[str, int] = {}
    forgotten_ms: int = 0


class Facts:
    """The facts of one signer.

        facts = Facts()
        facts.apply(AlertRaised("a1", "account-takeover", Severity.CRITICAL, "alice", 1_000))
        facts.open_alerts("alice", Severity.CRITICAL)

    Everything it answers is as of the events so far; it knows no time but what it is told.
    """

    def __init__(self) -> None:
        self._state = _State()
        self._spent: dict[
            str, dict[str, Spending]
        ] = {}  # by account and by vault, of a chain and asset; then by request

    def apply(self, event: FactEvent) -> None:
        """Take an event in."""
        state = self._state
        match event:
            case AlertRaised() | AlertClosed() | AlertReopened() | Held() | Lifted():
                state.standing.apply(event)
            case CredentialChanged():
                changes = state.credentials.setdefault(event.account, {})
                changes[event.credential] = max(event.time_ms, changes.get(event.credential, 0))
            case DestinationListed():
                self._list(event)
            case Spending():
                self._spend(event)
            case VaultBalance():
                self._balance(event)
            case LockStands():
                if event.time_ms >= state.forgotten_ms:
                    keep_larger(state.locks, event.request_id, event)
            case LockReturned():
                close(state.returned, event.request_id, event.time_ms)
            case LockSettled():
                close(state.settled, event.request_id, event.time_ms)

    def _balance(self, event: VaultBalance) -> None:
        balances = self._state.balances
        known = balances.get(key := _key(event.vault, event.chain, event.asset))
        if known is None or (event.time_ms, -int(event.units)) > (known.time_ms, -int(known.units)):
            balances[key] = event

    def _list(self, event: DestinationListed) -> None:
        entries = self._state.listed.setdefault(event.account, {})
        known = entries.get(key := _key(event.chain, event.destination))
        if known is None or listing_order(event) > listing_order(known):
            entries[key] = event

    def _spend(self, event: Spending) -> None:
        state = self._state
        known = state.spendings.get(event.request_id)
        if known is None and event.time_ms < state.forgotten_ms:
            return
        if known is None or spending_order(event) > spending_order(known):
            state.spendings[event.request_id] = event
            self._index(known, event)

    def _index(self, known: Spending | None, event: Spending) -> None:
        for key in _groups(known) if known is not None else ():
            del self._spent[key][event.request_id]
        for key in _groups(event):
            self._spent.setdefault(key, {})[event.request_id] = event

    # -- to ask

    def open_alerts(self, account: str, least: Severity) -> list[AlertRaised]:
        """Those on the account that are at least so grave, the gravest first."""
        return self._state.standing.open_alerts(account, least)

    def holds(self, account: str) -> list[Held]:
        """The actions that stand on the account, the oldest first."""
        return self._state.standing.on_hold(account)

    def every_open_alert(self) -> Iterator[AlertRaised]:
        """Of every account."""
        return self._state.standing.every_open_alert()

    def count_open_alerts(self) -> OpenAlerts:
        """How many there are in all. That looks at each of them."""
        return self._state.standing.count_open_alerts()

    def listed_since_ms(self, account: str, chain: str, destination: str) -> int | None:
        """Since when the destination is on the account's whitelist without a change; None: it is not on it."""
        entry = self._state.listed.get(account, {}).get(_key(chain, destination))
        return entry.time_ms if entry is not None and entry.listed else None

    def credentials_changed_ms(self, account: str) -> int | None:
        """When password or second factor were last changed; None: never, as far as is known."""
        return max(self._state.credentials.get(account, {}).values(), default=None)

    def spent(self, request: Request, since_ms: int, *, of_account: bool) -> Iterator[int]:
        """Amounts reserved or released since then (exclusive) of the request's chain and asset, without the request's own.

        Args:
            request: says what of.
            since_ms: epoch; what is reserved and not released counts however old it is.
            of_account: those of the request's account, else those of its vault.
        """
        of = _key("account", request.account) if of_account else _key("vault", request.vault)
        for one in self._spent.get(_key(of, request.chain, request.asset), {}).values():
            counts = one.spent is Spent.RESERVED or (one.spent is Spent.RELEASED and one.time_ms > since_ms)
            if counts and one.request_id != request.id:
                yield int(one.amount)

    def available(self, request: Request) -> int | None:
        """Minor units of the request's asset in its vault that nothing else has a claim on; None: the balance is not known."""
        balance = self._state.balances.get(_key(request.vault, request.chain, request.asset))
        if balance is None:
            return None
        return int(balance.units) - sum(self.spent(request, balance.time_ms, of_account=False))

    def lock(self, request_id: str) -> LockStands | None:
        """The lock of a cross-chain transfer, unless there is none or it was given back."""
        return None if request_id in self._state.returned else self._state.locks.get(request_id)

    def lock_was_returned(self, request_id: str) -> bool:
        """There was one, and it was given back."""
        return request_id in self._state.returned

    def lock_is_settled(self, request_id: str) -> bool:
        """The release that it was for has happened."""
        return request_id in self._state.settled

    def payouts(self, lock_of: str) -> Iterator[Spending]:
        """What was taken to pay out the lock of a request, and did not come back."""
        prefix = f"{lock_of}{PAYOUT}"
        for one in self._state.spendings.values():
            if one.request_id.startswith(prefix) and one.spent is not Spent.RETURNED:
                yield one

    def spending(self, request_id: str) -> Spending | None:
        """What is known of the amount that a request took."""
        return self._state.spendings.get(request_id)

    # -- to keep

    def forget(self, before_ms: int) -> None:
        """Let go of what ended before then: choose a time before every window of the policy and every request still to come.

        What is forgotten errs on the side of refusing: an alert that was closed and is told again opens again.
        """
        state = self._state
        state.forgotten_ms = max(state.forgotten_ms, before_ms)
        state.standing.forget(before_ms)
        state.spendings = {
            key: one for key, one in state.spendings.items() if one.time_ms >= before_ms or one.spent is Spent.RESERVED
        }
        self._index_all()
        state.locks = {key: one for key, one in state.locks.items() if one.time_ms >= before_ms}
        state.returned = {key: ms for key, ms in state.returned.items() if ms >= before_ms}
        state.settled = {key: ms for key, ms in state.settled.items() if ms >= before_ms}

    def _index_all(self) -> None:
        self._spent = {}
        for spending in self._state.spendings.values():
            self._index(None, spending)

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON or msgpack."""
        return {"version": VERSION, "state": msgspec.to_builtins(self._state)}

    @classmethod
    def restore(cls, kept: dict[str, Any]) -> Facts:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of facts, or one of another version.
        """
        if kept.get("version") not in {1, VERSION}:
            raise CustodyError(
                f"expected a snapshot of facts of version 1 or {VERSION}, got version {kept.get('version')!r}"
            )
        facts = cls()
        try:
            state = of_version_1(kept["state"]) if kept["version"] == 1 else kept["state"]
            facts._state = msgspec.convert(state, _State)
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise CustodyError(f"expected a snapshot of facts: {error}") from None
        facts._state.standing.check()
        facts._index_all()
        return facts


def _key(*parts: str) -> str:
    return " ".join(parts)  # names have no white space


def _groups(spending: Spending) -> tuple[str, str]:
    of = _key(spending.chain, spending.asset)
    return _key("account", spending.account, of), _key("vault", spending.vault, of)
