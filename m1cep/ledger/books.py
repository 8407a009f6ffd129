"""The books: postings in, balances out. All of a ledger in memory, or the part of one that a batch is about.

    books = Books(chart)
    books.post(posting)          # POSTED, or SEEN when it was there already; raises LedgerError and has changed nothing
    books.expire(time_ms)        # holds whose time is over
    books.take_changes()         # what to write down

The rules are those of TigerBeetle's transfers (docs/ledger.md says where they differ). Nothing here depends on the order in which
postings come, but for what is refused: for lack of funds, or because a hold has ended otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from m1cep.errors import LedgerError
from m1cep.ledger.accounts import Account, AccountKey
from m1cep.ledger.postings import How, Leg, Posting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.ledger.chart import Chart


class Result(StrEnum):
    """What came of a posting that was not refused."""

    POSTED = "posted"
    SEEN = "seen"  # the same had been posted before


class Mode(StrEnum):
    """What a transfer in the history did."""

    POSTED = "posted"
    PENDING = "pending"
    SETTLED = "settled"  # posted out of a hold; what is left of the hold is free again
    RELEASED = "released"
    EXPIRED = "expired"


class Transfer(NamedTuple):
    """A line of the history.

    Attributes:
        leg: its number within the posting.
        units: that were moved, or of a hold that ended, freed.
        freed: of a settled one: the whole hold.
    """

    posting: str
    leg: int
    mode: Mode
    debit: AccountKey
    credit: AccountKey
    units: int
    freed: int = 0


class Hold(NamedTuple):
    """An amount that is set aside."""

    debit: AccountKey
    credit: AccountKey
    units: int
    expires_ms: int


class Entered(NamedTuple):
    """A posting as the history keeps it."""

    id: str
    kind: str
    owner: str
    how: How
    time_ms: int
    digest: bytes
    ends: str  # the hold that it ended; empty: none


@dataclass
class Changes:
    """What has changed since it was last taken."""

    postings: list[Entered] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    opened: dict[str, Hold] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)


class Books:
    """See the module.

    Args:
        chart: says who may overdraw, of accounts that are opened here.

    Attributes:
        accounts: by key; one that is not there is opened by the first posting on it.
        digests: of the postings that were entered, by id.
        holds: those that are open.
        ended: how holds ended, by id: also of holds that have not come yet.
    """

    def __init__(self, chart: Chart) -> None:
        self.accounts: dict[AccountKey, Account] = {}
        self.digests: dict[str, bytes] = {}
        self.holds: dict[str, Hold] = {}
        self.ended: dict[str, Mode] = {}
        self._chart = chart
        self._changes = Changes()

    def post(self, posting: Posting, *, checked: bool = True) -> Result:
        """Enter a posting, all of it or nothing.

        Args:
            posting: what to enter.
            checked: False lets accounts fall below zero: for a trial of several that are right together.

        Raises:
            LedgerError: its id was used for something else, an asset is not in the chart, a hold cannot be ended so, or an
                account would be below zero or overflow.
        """
        digest = posting.digest()
        known = self.digests.get(posting.id)
        if known is not None:
            if known == digest:
                return Result.SEEN
            raise LedgerError(
                "id_reused", f"{posting.id} was posted before with other contents; a new event needs a new id"
            )
        for leg in posting.legs:
            self._chart.check_asset(leg.debit.asset)
        if posting.how is How.HOLD:
            self._hold(posting, digest, checked=checked)
        elif posting.how is How.RELEASE:
            self._release(posting, digest)
        else:
            self._book(posting, digest, checked=checked)
        return Result.POSTED

    def expire(self, time_ms: int) -> list[str]:
        """End the holds whose time is over at a time (epoch): it is the first moment at which they are not there."""
        due = sorted(name for name, hold in self.holds.items() if 0 < hold.expires_ms <= time_ms)
        for name in due:
            hold = self.holds[name]
            posting = Posting(
                f"expired/{name}", "expiry", hold.debit.owner, hold.expires_ms, (), How.RELEASE, hold=name
            )
            self._end(posting, posting.digest(), Mode.EXPIRED)
        return due

    def take_changes(self) -> Changes:
        """What has changed since the last time."""
        changes, self._changes = self._changes, Changes()
        return changes

    def copy(self) -> Books:
        """Books of their own that stand as these do."""
        other = Books(self._chart)
        other.become(self)
        return other

    def become(self, other: Books) -> None:
        """Stand as others do."""
        self.accounts, self.digests = dict(other.accounts), dict(other.digests)
        self.holds, self.ended = dict(other.holds), dict(other.ended)
        theirs = other._changes
        self._changes = Changes(
            list(theirs.postings),
            list(theirs.transfers),
            dict(theirs.accounts),
            dict(theirs.opened),
            set(theirs.closed),
        )

    # -- the four kinds

    def _book(self, posting: Posting, digest: bytes, *, checked: bool) -> None:
        hold = self.holds.get(posting.hold) if posting.how is How.SETTLE else None
        staged: dict[AccountKey, Account] = {}
        transfers = []
        for number, leg in enumerate(posting.legs):
            if number == 0 and hold is not None:
                self._check_settles(posting, leg, hold)
                self._move(staged, leg, posted=leg.units, pending=-hold.units)
                transfers.append(Transfer(posting.id, 0, Mode.SETTLED, *leg, hold.units))
            else:
                self._move(staged, leg, posted=leg.units)
                transfers.append(Transfer(posting.id, number, Mode.POSTED, *leg))
        self._check(staged if checked else {})
        ends = ""
        if posting.how is How.SETTLE and posting.hold not in self.ended:
            ends = posting.hold  # open or not: a hold of that name that comes later is settled already
            self._close(ends, Mode.SETTLED)
        self._enter(posting, digest, staged, transfers, ends)

    def _hold(self, posting: Posting, digest: bytes, *, checked: bool) -> None:
        staged: dict[AccountKey, Account] = {}
        transfers = []
        if posting.id not in self.ended:
            (leg,) = posting.legs
            self._move(staged, leg, pending=leg.units)
            self._check(staged if checked else {})
            transfers.append(Transfer(posting.id, 0, Mode.PENDING, *leg))
            self.holds[posting.id] = self._changes.opened[posting.id] = Hold(*leg, posting.expires_ms)
        self._enter(posting, digest, staged, transfers, "")

    def _release(self, posting: Posting, digest: bytes) -> None:
        how = self.ended.get(posting.hold)
        if how is Mode.SETTLED:
            raise LedgerError(
                "already_settled", f"{posting.id}: {posting.hold} was paid out already and cannot be released"
            )
        if how is not None:
            self._enter(posting, digest, {}, [], "")
            return
        self._end(posting, digest, Mode.RELEASED)

    def _end(self, posting: Posting, digest: bytes, mode: Mode) -> None:
        hold = self.holds.get(posting.hold)
        staged: dict[AccountKey, Account] = {}
        transfers = []
        if hold is not None:
            leg = Leg(hold.debit, hold.credit, hold.units)
            self._move(staged, leg, pending=-hold.units)
            transfers.append(Transfer(posting.id, 0, mode, *leg))
        self._close(posting.hold, mode)
        self._enter(posting, digest, staged, transfers, posting.hold)

    # -- steps

    def _move(self, staged: dict[AccountKey, Account], leg: Leg, *, posted: int = 0, pending: int = 0) -> None:
        staged[leg.debit] = self._account(staged, leg.debit).plus(debit=posted, debit_pending=pending)
        staged[leg.credit] = self._account(staged, leg.credit).plus(credit=posted, credit_pending=pending)

    def _account(self, staged: dict[AccountKey, Account], key: AccountKey) -> Account:
        found = staged.get(key) or self.accounts.get(key)
        return found or Account(overdraft=self._chart.may_overdraw(key))

    @staticmethod
    def _check(staged: dict[AccountKey, Account]) -> None:
        for key, account in staged.items():
            account.check(key)

    @staticmethod
    def _check_settles(posting: Posting, leg: Leg, hold: Hold) -> None:
        if (leg.debit, leg.credit) != (hold.debit, hold.credit):
            raise LedgerError(
                "hold_differs",
                f"{posting.id}: {posting.hold} is from {hold.debit} to {hold.credit}, not {leg.debit} to {leg.credit}",
            )
        if leg.units > hold.units:
            raise LedgerError(
                "exceeds_hold", f"{posting.id}: {leg.units} minor units out of {posting.hold}, which holds {hold.units}"
            )

    def _close(self, hold: str, mode: Mode) -> None:
        self.ended[hold] = mode
        self.holds.pop(hold, None)
        if self._changes.opened.pop(hold, None) is None:
            self._changes.closed.add(hold)

    def _enter(
        self,
        posting: Posting,
        digest: bytes,
        staged: dict[AccountKey, Account],
        transfers: Iterable[Transfer],
        ends: str,
    ) -> None:
        self.accounts.update(staged)
        self.digests[posting.id] = digest
        changes = self._changes
        changes.accounts.update(staged)
        changes.transfers.extend(transfers)
        changes.postings.append(
            Entered(posting.id, posting.kind, posting.owner, posting.how, posting.time_ms, digest, ends)
        )
