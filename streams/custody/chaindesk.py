"""The chains behind the coordinator: transfers, balances, and the book of locks.

coordinator ── MakePlan, Broadcast, PlaceLock ... ──▶ desk ──▶ chain's software (``streams.chains``)
◀─ Planned, Seen, Confirmed, Void, LockPlaced ... and facts for the signers ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from m1cep.custody.policy.events import LockReturned, LockSettled, LockStands, VaultBalance
from m1cep.custody.requests.messages import (
    Broadcast,
    Confirmed,
    LockDone,
    LockPlaced,
    MakePlan,
    PlaceLock,
    ReturnLock,
    SettleLock,
)
from m1cep.errors import CustodyError
from streams.custody.locks import LockBook, Standing
from streams.custody.transfers import Job, Transfers, Undone
from streams.custody.treasury import Purses, Treasury

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from m1cep.custody.chains.interface import LocalNode
    from m1cep.custody.policy.events import FactEvent
    from m1cep.custody.request import Request
    from m1cep.custody.requests.messages import Heard, Status
    from streams.custody.roster import Vault

    Work: TypeAlias = MakePlan | Broadcast | PlaceLock | ReturnLock | SettleLock
    Told: TypeAlias = Heard | FactEvent | Undone | Request

_CALM = 10  # where nothing waits for a block, they come so many times slower


class Books(msgspec.Struct):
    """All that survives a restart; jobs are by request, and so is what is done and may yet be undone."""

    jobs: dict[str, Job] = {}
    done: dict[str, Job] = {}
    locks: LockBook = msgspec.field(default_factory=LockBook)
    purses: Purses = msgspec.field(default_factory=Purses)


class ChainDesk:
    """Carries out what the coordinator says to the chains and the book of locks.

    Args:
        vaults: those of the roster.
        open_node: gives the software of a chain by its name; called once for each that a vault needs.
        depth: confirmations after which a release or a deposit counts.
        block_ms: between two blocks of a local chain, while something waits for one.
    """

    def __init__(
        self,
        vaults: Mapping[str, Vault],
        open_node: Callable[[str], LocalNode[Any]],
        *,
        depth: int = 2,
        block_ms: int = 1_000,
    ) -> None:
        self._block_ms = block_ms
        self._treasury = Treasury(vaults, open_node, depth)
        self._transfers = Transfers(vaults, self._treasury, depth, self.free, self._waits)
        #: Is told what belongs into the audit log beside what :meth:`carry_out` and :meth:`tick` give: kind and contents.
        self.note: Callable[[str, dict[str, Any]], None] = lambda _kind, _body: None
        self._locks = LockBook()
        self._now_ms = self._block_at_ms = 0
        self._look = False  # something has changed: look at once, not with the next block
        self._noted: dict[str, str] = {}

    # -- vaults

    def open(self, vault: str, key: bytes) -> None:
        """A vault has a key: make on its chain what must be there. A local chain that is new gets what the vault had."""
        self._look = self._treasury.open(vault, key) or self._look
        if vault in self._treasury.anew:
            self._transfers.new_chain(vault)

    def fund(self, vault: str, amount: str) -> int:
        """Pay into a vault from the faucet of its local chain; minor units.

        Args:
            vault: with a key.
            amount: such as 0.5, of the chain's asset.

        Raises:
            CustodyError: the vault has no key yet, the amount is none, or more than the faucet has.
        """
        units = self._treasury.fund(vault, amount)
        self._block_at_ms = 0  # with the next look at the time
        return units

    def address(self, vault: str) -> str:
        """Where a vault receives."""
        return self._treasury.address(vault)

    def told(self, vault: str) -> int:
        """What signers were last told to be free in it, in minor units."""
        return self._treasury.purses.told.get(vault, 0)

    def told_at(self, vault: str) -> int:
        """At which height of the chain that was found; 0: not known."""
        return self._treasury.purses.told_at.get(vault, 0)

    def free(self, vault: str) -> int:
        """What of it is confirmed, not locked and not on its way out, in minor units."""
        return self.told(vault) - self._transfers.set_aside(vault)

    def fee(self, request_id: str) -> int:
        """What the vault paid for a confirmed release beside its amount, in minor units."""
        return self._transfers.fee(request_id)

    def may_be_undone(self, request_id: str) -> bool:
        """Whether a release is looked at yet, because a reorganisation may undo it."""
        return request_id in self._transfers.done or request_id in self._transfers.jobs

    def close(self) -> None:
        """Let go of the chains' software."""
        self._treasury.close()

    # -- what the coordinator says

    def carry_out(self, said: Work) -> Sequence[Told]:
        """Do it, if it can be done now; what comes of it. It is said again, so what cannot be done now waits for that."""
        try:
            match said:
                case MakePlan():
                    return self._transfers.plan(said.request)
                case Broadcast():
                    self._look = True
                    return self._transfers.broadcast(said)
                case PlaceLock():
                    return self._place(said.request)
                case ReturnLock():
                    return self._give_back(said.request)
                case SettleLock():
                    return self._settle(said.request)
        except CustodyError as error:
            self._waits(said.request.id, str(error))
            return []

    def hear(self, status: Status) -> None:
        """A request has another state: what has ended for good is forgotten."""
        if status.state.ended:
            self._transfers.forget(status.request_id, unresolved=status.unresolved)
            self._noted.pop(status.request_id, None)

    def _waits(self, request_id: str, reason: str) -> None:
        if self._noted.get(request_id) != reason:
            self._noted[request_id] = reason
            self.note("waits", {"request": request_id, "reason": reason})

    # -- locks

    def _place(self, request: Request) -> list[Told]:
        lock, book = request.lock, self._locks
        assert lock is not None  # the coordinator asks for it only where there is one
        if book.standing(request.id) is None and self.free(lock.vault) < int(lock.amount):
            raise CustodyError(f"{lock.amount} is to be locked in vault {lock.vault}, free is {self.free(lock.vault)}")
        book.place(request)
        self._look = True
        about = (lock.vault, lock.chain, lock.asset, lock.amount)
        return [LockStands(request.id, *about, self._now_ms, lock.payee), LockPlaced(request.id)]

    def _give_back(self, request: Request) -> list[Told]:
        self._locks.give_back(request)
        self._look = True
        return [LockReturned(request.id, self._now_ms), LockDone(request.id)]

    def _settle(self, request: Request) -> list[Told]:
        """The release happened; whoever is named gets what is locked, by a request of its own."""
        self._locks.settle(request, self._now_ms)
        payout = self._locks.payout(request, self._treasury.account(request.lock.vault) if request.lock else "")
        return [LockSettled(request.id, self._now_ms), LockDone(request.id), *([payout] if payout else [])]

    def lock(self, request_id: str) -> Standing | None:
        """What became of the lock of a request."""
        return self._locks.standing(request_id)

    def check_payout(self, request: Request) -> None:
        """That a payout is of a lock that is settled, and of all of it.

        Raises:
            CustodyError: it is not.
        """
        self._locks.check_payout(request)

    # -- time

    def tick(self, now_ms: int) -> list[Told]:
        """Let blocks pass on local chains, look at them, and say what has happened since."""
        self._now_ms = self._transfers.now_ms = max(now_ms, self._now_ms)
        if now_ms >= self._block_at_ms:
            self._block_at_ms = now_ms + self._block_ms * _CALM
            self._treasury.advance()
        elif not self._look:
            return []
        self._look = False
        told: list[Told] = []
        for one in self._transfers.follow():
            told.append(one)
            if isinstance(one, Confirmed) and (vault := self._locks.paid(one.request_id)):
                self._treasury.purses.told.pop(vault, None)  # to be told anew: what was reserved for it is in it
        for vault in self._treasury:
            told += self._weigh(vault)
        if self._treasury.young or any(not job.ended for job in self._transfers.jobs.values()):
            self._block_at_ms = min(self._block_at_ms, now_ms + self._block_ms)
        return told

    def _weigh(self, vault: str) -> list[Told]:
        """Say what is free in a vault where that has changed. While a release is on its way, it is neither in nor out: wait."""
        found = self._treasury.weigh(vault)
        for deposit in found.fresh:
            self.note("deposit", {"vault": vault, "reference": deposit.reference, "amount": str(deposit.amount)})
        told: list[Told] = [Undone(vault, "deposit", one, units) for one, units in found.gone.items()]
        if any(job.seen for job in self._transfers.jobs.values() if job.request.vault == vault) and not told:
            return []
        units = max(0, found.units - self._locks.set_aside(vault))
        if self._treasury.purses.told.get(vault) == units:
            return told
        node, purses = self._treasury.node(vault), self._treasury.purses
        purses.told[vault], purses.told_at[vault] = units, node.height
        chain = node.chain
        return [*told, VaultBalance(vault, chain.name, chain.asset.symbol, str(units), self._now_ms)]

    def short(self, vault: str) -> int:
        """By how much less is in a vault than is locked in it and promised to leave it; 0: it is not."""
        owed = self._locks.set_aside(vault) + self._transfers.set_aside(vault)
        return max(0, owed - self._treasury.purses.held.get(vault, 0))

    # -- to keep

    def snapshot(self) -> Any:
        """All of it as plain values, fit for msgpack."""
        books = Books(self._transfers.jobs, self._transfers.done, self._locks, self._treasury.purses)
        return msgspec.to_builtins(books, builtin_types=(bytes,))

    def load(self, kept: Any) -> None:
        """As it was, before vaults are opened. A local chain is a new one, with what the vaults had before.

        Raises:
            CustodyError: this is no snapshot of a desk.
        """
        try:
            books = msgspec.convert(kept, Books)
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected the books of the chains: {error}") from None
        self._transfers.jobs, self._transfers.done = books.jobs, books.done
        self._locks, self._treasury.purses = books.locks, books.purses
        for job in self._transfers.jobs.values():
            job.seen = False  # give it to the chain once more: that does no harm, and this one may be new
