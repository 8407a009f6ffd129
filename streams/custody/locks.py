"""The book of locks: what is set aside in one vault until a release on another chain has happened, or has not.

    nothing ──place──▶ stands ──settle──▶ settled ──payout confirmed──▶ paid
       └────────return────┴────return──▶ returned

Everything may be asked again and then changes nothing. What was returned is not placed again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from m1cep.custody.request import PAYOUT, Kind, Lock, Request
from m1cep.errors import CustodyError

#: How long the signers have for a payout, at least.
PAYOUT_MS = 3_600_000


class Standing(StrEnum):
    """What became of a lock."""

    STANDS = "stands"
    RETURNED = "returned"
    SETTLED = "settled"  # the release on the other side happened: the amount is owed, and stays set aside
    PAID = "paid"  # whoever it was owed to has it


_ENDED = frozenset({Standing.RETURNED, Standing.PAID})
#: Locks that are over and are remembered; requests are forgotten long before so many others have come.
MOST_ENDED = 10_000


class Entry(msgspec.Struct):
    """One lock.

    Attributes:
        lock: None: it was given back before it was placed.
        settled_ms: when the release on the other side happened; 0: it has not.
    """

    lock: Lock | None
    standing: Standing
    settled_ms: int = 0


class LockBook(msgspec.Struct):
    """All locks by the id of their request. Plain values, kept with the coordinator's state."""

    entries: dict[str, Entry] = {}

    def standing(self, request_id: str) -> Standing | None:
        """What is known of the lock of a request."""
        found = self.entries.get(request_id)
        return found.standing if found else None

    def place(self, request: Request) -> None:
        """Set the amount aside; whoever calls has seen that it is there.

        Raises:
            CustodyError: the lock was given back, or used up.
        """
        known = self.standing(request.id)
        if known in {Standing.RETURNED, Standing.SETTLED, Standing.PAID}:
            raise CustodyError(f"the lock of request {request.id} was {known}: ask again under another id")
        self.entries.setdefault(request.id, Entry(request.lock, Standing.STANDS))

    def give_back(self, request: Request) -> None:
        """Free it, and place it no more.

        Raises:
            CustodyError: it was used up.
        """
        if self.standing(request.id) in {Standing.SETTLED, Standing.PAID}:
            raise CustodyError(f"the lock of request {request.id} was used up: it cannot be given back")
        self._end(request.id, Entry(request.lock, Standing.RETURNED))

    def settle(self, request: Request, now_ms: int) -> None:
        """The release happened: the amount is owed.

        Raises:
            CustodyError: it does not stand.
        """
        known = self.standing(request.id)
        if known not in {Standing.STANDS, Standing.SETTLED, Standing.PAID}:
            raise CustodyError(f"the lock of request {request.id} does not stand: it cannot be used up")
        if known is Standing.STANDS:
            self.entries[request.id] = Entry(request.lock, Standing.SETTLED, now_ms)

    def payout(self, request: Request, account: str) -> Request | None:
        """The request that pays out a settled lock, the same however often it is asked for; None: no payee is named.

        Args:
            request: the cross-chain transfer.
            account: whose the lock's vault is.
        """
        lock, entry = request.lock, self.entries.get(request.id)
        if lock is None or not lock.payee or entry is None or entry.standing is not Standing.SETTLED:
            return None
        lasts_ms = request.expires_ms - request.requested_ms
        times = (entry.settled_ms, entry.settled_ms + max(lasts_ms, PAYOUT_MS))
        about = (account, lock.vault, lock.chain, lock.asset, lock.payee, lock.amount)
        return Request(f"{request.id}{PAYOUT}1", Kind.PAYOUT, request.requester, *about, *times)

    def check_payout(self, request: Request) -> None:
        """That a payout is of a lock that is settled, and of all of it.

        Raises:
            CustodyError: it is not.
        """
        entry = self.entries.get(request.pays_out)
        if entry is None or entry.lock is None or entry.standing is not Standing.SETTLED:
            found = entry.standing if entry else "not known"
            raise CustodyError(f"the lock of request {request.pays_out} is {found}: nothing is to be paid out")
        lock = entry.lock
        expected = (lock.vault, lock.chain, lock.asset, lock.amount, lock.payee)
        came = (request.vault, request.chain, request.asset, request.amount, request.destination)
        if expected != came:
            raise CustodyError(f"locked is {' '.join(expected)}, to be paid out is {' '.join(came)}")

    def paid(self, request_id: str) -> str:
        """A request's transaction is confirmed: of a payout, the lock is over. The vault of the lock; empty: it was no payout."""
        name, mark, _ = request_id.rpartition(PAYOUT)
        entry = self.entries.get(name)
        if mark and entry is not None and entry.standing is Standing.SETTLED:
            self._end(name, Entry(entry.lock, Standing.PAID, entry.settled_ms))
            return entry.lock.vault if entry.lock else ""
        return ""

    def _end(self, request_id: str, entry: Entry) -> None:
        """Remember how it ended, behind those that ended before; of these only the last."""
        self.entries.pop(request_id, None)
        self.entries[request_id] = entry
        ended = [name for name, one in self.entries.items() if one.standing in _ENDED]
        for name in ended[:-MOST_ENDED]:
            del self.entries[name]

    def set_aside(self, vault: str) -> int:
        """Minor units of the vault that nobody else may have."""
        kept = (one for one in self.entries.values() if one.standing in {Standing.STANDS, Standing.SETTLED})
        return sum(int(one.lock.amount) for one in kept if one.lock is not None and one.lock.vault == vault)
