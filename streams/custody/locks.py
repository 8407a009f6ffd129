"""The book of locks: what is set aside in one vault until a release on another chain has happened, or has not.

    nothing ──place──▶ stands ──settle──▶ settled
       └────────return────┴────return──▶ returned

Everything may be asked again and then changes nothing. What was returned is not placed again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.request import Lock  # noqa: TC001 - msgspec reads the annotation
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from m1cep.custody.request import Request


class Standing(StrEnum):
    """What became of a lock."""

    STANDS = "stands"
    RETURNED = "returned"
    SETTLED = "settled"  # the release on the other side happened: the amount is owed, and stays set aside


class Entry(msgspec.Struct):
    """One lock; None: it was given back before it was placed."""

    lock: Lock | None
    standing: Standing


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
        if known in {Standing.RETURNED, Standing.SETTLED}:
            raise CustodyError(f"the lock of request {request.id} was {known}: ask again under another id")
        self.entries.setdefault(request.id, Entry(request.lock, Standing.STANDS))

    def give_back(self, request: Request) -> None:
        """Free it, and place it no more.

        Raises:
            CustodyError: it was used up.
        """
        if self.standing(request.id) is Standing.SETTLED:
            raise CustodyError(f"the lock of request {request.id} was used up: it cannot be given back")
        self.entries[request.id] = Entry(request.lock, Standing.RETURNED)

    def settle(self, request: Request) -> None:
        """The release happened: the amount is owed.

        Raises:
            CustodyError: it does not stand.
        """
        if self.standing(request.id) not in {Standing.STANDS, Standing.SETTLED}:
            raise CustodyError(f"the lock of request {request.id} does not stand: it cannot be used up")
        self.entries[request.id] = Entry(request.lock, Standing.SETTLED)

    def set_aside(self, vault: str) -> int:
        """Minor units of the vault that nobody else may have."""
        kept = (one for one in self.entries.values() if one.standing is not Standing.RETURNED)
        return sum(int(one.lock.amount) for one in kept if one.lock is not None and one.lock.vault == vault)
