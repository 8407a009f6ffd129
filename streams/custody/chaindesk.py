"""The chains behind the coordinator: plans, broadcasts, confirmations, balances, and the book of locks.

    coordinator ── MakePlan, Broadcast, PlaceLock ... ──▶ desk ──▶ chain's software (``streams.chains``)
                ◀─ Planned, Seen, Confirmed, Void, LockPlaced ... and facts for the signers ─┘

A vault has one transfer under way at a time on a chain with one nonce (Solana, EVM), so that no two plans are for the same
nonce; on Bitcoin a plan takes none of the coins of another. A request that has ended and may yet be on the chain keeps nothing
from others: the next transfer may use its coins or nonce, and once that one is confirmed, the former can never be.

Longer than other modules, so that a transfer's way from plan to end can be read in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from m1cep.custody.chains.interface import Transfer, state_to_json
from m1cep.custody.policy.events import LockReturned, LockStands, Spending, Spent, VaultBalance
from m1cep.custody.request import Request  # noqa: TC001 - msgspec reads the annotation
from m1cep.custody.requests.messages import (
    Broadcast,
    Confirmed,
    LockDone,
    LockPlaced,
    MakePlan,
    PlaceLock,
    Planned,
    ReturnLock,
    Seen,
    SettleLock,
    Void,
)
from m1cep.errors import CustodyError
from streams.custody.bookings import Booking, Deposited, Freed, PaidOut
from streams.custody.derive import derive
from streams.custody.locks import LockBook, Standing
from streams.custody.shares import signatures_of
from streams.custody.treasury import Purses, Treasury

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m1cep.custody.chains.interface import Deposit, LocalNode, Unsigned
    from m1cep.custody.policy.events import FactEvent
    from m1cep.custody.requests.messages import Heard, Status
    from streams.custody.roster import Vault

    Work: TypeAlias = MakePlan | Broadcast | PlaceLock | ReturnLock | SettleLock
    Told: TypeAlias = Heard | FactEvent

#: Kinds of chains whose vaults have one nonce.
ONE_NONCE = frozenset({"solana", "evm"})
#: Sent after the state was saved, so a crash may have lost what was said between two saves: much less than this.
_TOLD_AGAIN = 1_000
_CALM = 10  # where nothing waits for a block, they come so many times slower
_MARGIN_S = 30  # by which a chain's clock may be behind ours, before a deadline of it counts as over


class Job(msgspec.Struct):
    """A transfer under way.

    Attributes:
        plan: facts that it is built from.
        consumes: what can be spent only once, and it spends.
        signature: of all its inputs; empty: not signed.
        reference: under which its confirmations are asked for.
        seen: the chain's software has taken it.
        ended: the request has ended, and may yet be on the chain.
    """

    request: Request
    plan: bytes
    consumes: frozenset[str]
    signature: bytes = b""
    reference: str = ""
    seen: bool = False
    ended: bool = False


class Books(msgspec.Struct):
    """All that survives a restart; jobs are by request."""

    bookings: list[Booking] = []

    jobs: dict[str, Job] = {}
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
        self._vaults, self._depth, self._block_ms = vaults, depth, block_ms
        self._treasury = Treasury(vaults, open_node, depth)
        #: Is told what belongs into the audit log beside what :meth:`carry_out` and :meth:`tick` give: kind and contents.
        self.note: Callable[[str, dict[str, Any]], None] = lambda _kind, _body: None
        #: The newest of what the books of accounts were told: they are told again after a restart.
        self.bookings: list[Booking] = []
        #: Tells them.
        self.book: Callable[[Booking], None] = lambda _booking: None
        self._jobs: dict[str, Job] = {}
        self._locks = LockBook()
        self._now_ms = self._block_at_ms = 0
        self._look = False  # something has changed: look at once, not with the next block
        self._noted: dict[str, str] = {}

    # -- vaults

    def open(self, vault: str, key: bytes) -> None:
        """A vault has a key: make on its chain what must be there. A local chain that is new gets what the vault had."""
        self._look = self._treasury.open(vault, key) or self._look

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

    def free(self, vault: str) -> int:
        """What of it is confirmed, not locked and not on its way out, in minor units."""
        return self.told(vault) - sum(job.request.units for job in self._going(vault))

    def close(self) -> None:
        """Let go of the chains' software."""
        self._treasury.close()

    # -- what the coordinator says

    def carry_out(self, said: Work) -> list[Told]:
        """Do it, if it can be done now; what comes of it. It is said again, so what cannot be done now waits for that."""
        try:
            match said:
                case MakePlan():
                    return self._plan(said.request)
                case Broadcast():
                    return self._broadcast(said)
                case PlaceLock():
                    return self._place(said.request)
                case ReturnLock():
                    return self._give_back(said.request)
                case SettleLock():
                    self._locks.settle(said.request)
                    return [LockDone(said.request.id)]
        except CustodyError as error:
            self._waits(said.request.id, str(error))
            return []

    def hear(self, status: Status) -> None:
        """A request has another state: what has ended for good is forgotten."""
        job = self._jobs.get(status.request_id)
        if job is None or not status.state.ended:
            return
        if status.unresolved:
            job.ended = True
        else:
            del self._jobs[status.request_id]
        self._noted.pop(status.request_id, None)

    def _waits(self, request_id: str, reason: str) -> None:
        if self._noted.get(request_id) != reason:
            self._noted[request_id] = reason
            self.note("waits", {"request": request_id, "reason": reason})

    def _plan(self, request: Request) -> list[Told]:
        known = self._jobs.get(request.id)
        if known is not None:
            return [Planned(request.id, known.plan)]
        key, node = self._treasury.key(request.vault), self._treasury.node(request.vault)
        going = self._going(request.vault)
        if going and request.chain.partition(":")[0] in ONE_NONCE:
            self._waits(request.id, f"{going[0].request.id} of the same vault is under way")
            return []
        plan = state_to_json(_without(node.state(key), {name for job in going for name in job.consumes}))
        unsigned = self._derive(request, plan)
        if request.units + unsigned.fee > (free := self.free(request.vault)):
            raise CustodyError(
                f"with a fee of {unsigned.fee} more would leave vault {request.vault} than the {free} that are free"
            )
        self._simulate(request, unsigned)
        self._jobs[request.id] = Job(request, plan, unsigned.consumes)
        return [Planned(request.id, plan)]

    def _simulate(self, request: Request, unsigned: Unsigned) -> None:
        """Whether the chain's own view of what would happen is that of the request."""
        key = self._treasury.key(request.vault)
        transfer = Transfer(key, request.destination, request.units, request.expires_ms // 1_000)
        would = self._treasury.node(request.vault).simulate(transfer, unsigned)
        pays = would.vault_before - would.vault_after
        if would.destination_gains != request.units or not request.units <= pays <= request.units + unsigned.fee:
            raise CustodyError(
                f"the chain says that {would.destination_gains} would arrive and {pays} leave, asked for were {request.units}"
            )

    def _broadcast(self, said: Broadcast) -> list[Told]:
        request = said.request
        unsigned = self._derive(request, said.plan)
        job = self._jobs.setdefault(request.id, Job(request, said.plan, unsigned.consumes))
        if not job.signature:
            signed = self._treasury.node(request.vault).chain.attach(unsigned, signatures_of(said.signature, unsigned))
            job.signature, job.reference = said.signature, signed.reference
        return self._send(job)

    def _send(self, job: Job) -> list[Told]:
        """Give it to the chain, unless that has it."""
        node = self._treasury.node(job.request.vault)
        unsigned = self._derive(job.request, job.plan)
        signed = node.chain.attach(unsigned, signatures_of(job.signature, unsigned))
        if not node.confirmations(job.reference) and not job.seen:
            self._simulate(job.request, unsigned)
        node.broadcast(signed)
        job.seen = self._look = True
        return [Seen(job.request.id, job.reference)]

    def _derive(self, request: Request, plan: bytes) -> Unsigned:
        return derive(self._vaults, self._treasury.key(request.vault), request, plan)

    def _going(self, vault: str) -> list[Job]:
        return [job for job in self._jobs.values() if job.request.vault == vault and not job.ended]

    # -- locks

    def _place(self, request: Request) -> list[Told]:
        lock, book = request.lock, self._locks
        assert lock is not None  # the coordinator asks for it only where there is one
        if book.standing(request.id) is None and self.free(lock.vault) < int(lock.amount):
            raise CustodyError(f"{lock.amount} is to be locked in vault {lock.vault}, free is {self.free(lock.vault)}")
        book.place(request)
        self._look = True
        stands = LockStands(request.id, lock.vault, lock.chain, lock.asset, lock.amount, self._now_ms)
        return [stands, LockPlaced(request.id)]

    def _give_back(self, request: Request) -> list[Told]:
        self._locks.give_back(request)
        self._look = True
        return [LockReturned(request.id, self._now_ms), LockDone(request.id)]

    def lock(self, request_id: str) -> Standing | None:
        """What became of the lock of a request."""
        return self._locks.standing(request_id)

    # -- time

    def tick(self, now_ms: int) -> list[Told]:
        """Let blocks pass on local chains, look at them, and say what has happened since."""
        self._now_ms = max(now_ms, self._now_ms)
        if now_ms >= self._block_at_ms:
            self._block_at_ms = now_ms + self._block_ms * _CALM
            self._treasury.advance()
        elif not self._look:
            return []
        self._look = False
        told: list[Told] = []
        for job in list(self._jobs.values()):
            if job.request.id in self._jobs:
                told += self._follow(job)
        for vault in self._treasury:
            told += self._weigh(vault)
        if self._treasury.young or any(not job.ended for job in self._jobs.values()):
            self._block_at_ms = min(self._block_at_ms, now_ms + self._block_ms)
        return told

    def _follow(self, job: Job) -> list[Told]:
        node, request = self._treasury.node(job.request.vault), job.request
        depth = node.confirmations(job.reference) if job.reference else 0
        if depth >= self._depth:
            return self._is_confirmed(job)
        if depth:
            return []
        if why := self._never(job):
            return self._is_void(job, why)
        if job.signature and not job.seen:
            try:
                return self._send(job)
            except CustodyError as error:
                self._waits(request.id, str(error))
        return []

    def _is_confirmed(self, job: Job) -> list[Told]:
        del self._jobs[job.request.id]
        self._paid_out(job)
        told: list[Told] = [Confirmed(job.request.id, job.reference), self._spending(job, Spent.RELEASED)]
        for other in list(self._jobs.values()):
            if other.request.vault == job.request.vault and not job.consumes.isdisjoint(other.consumes):
                told += self._is_void(other, f"transaction {job.reference} has spent what it would spend")
        return told

    def _is_void(self, job: Job, why: str) -> list[Told]:
        del self._jobs[job.request.id]
        one = job.request
        self._tell_books(Freed(one.id, one.vault, one.account, self._now_ms))
        return [Void(job.request.id, why), self._spending(job, Spent.RETURNED)]

    def _spending(self, job: Job, spent: Spent) -> Spending:
        one = job.request
        return Spending(one.id, one.account, one.vault, one.chain, one.asset, one.amount, spent, self._now_ms)

    def _never(self, job: Job) -> str:
        """Why it can never be on the chain any more; empty: it may."""
        kind = job.request.chain.partition(":")[0]
        if kind == "evm" and self._now_ms // 1000 > job.request.expires_ms // 1000 + _MARGIN_S:
            return "its deadline is over"
        if not job.reference or job.seen:  # unsigned, it may be on the chain under a name that we do not know
            return ""
        vault = job.request.vault
        node, key = self._treasury.node(vault), self._treasury.key(vault)
        there = _spendable(node.state(key), kind, node, key)
        there |= {name for one in self._jobs.values() if one.seen for name in one.consumes}
        return "" if job.consumes <= there else "what it would spend is not there any more"

    def _deposited(self, vault: str, deposit: Deposit) -> None:
        chain, account = self._treasury.node(vault).chain, self._vaults[vault].account
        amount, reference = str(deposit.amount), deposit.reference
        self._tell_books(Deposited(vault, account, chain.name, chain.asset.symbol, amount, reference, self._now_ms))

    def _paid_out(self, job: Job) -> None:
        one, fee = job.request, str(self._derive(job.request, job.plan).fee)
        place = (one.vault, one.account, one.chain, one.asset)
        self._tell_books(PaidOut(one.id, *place, one.amount, fee, job.reference, self._now_ms))

    def _tell_books(self, booking: Booking) -> None:
        self.bookings = [*self.bookings[1 - _TOLD_AGAIN :], booking]
        self.book(booking)

    def _weigh(self, vault: str) -> list[Told]:
        """Say what is free in a vault where that has changed. While a release is on its way, it is neither in nor out: wait."""
        if any(job.seen for job in self._jobs.values() if job.request.vault == vault):
            return []
        found = self._treasury.weigh(vault)
        for deposit in found.fresh:
            self.note("deposit", {"vault": vault, "reference": deposit.reference, "amount": str(deposit.amount)})
            self._deposited(vault, deposit)
        units = max(0, found.units - self._locks.set_aside(vault))
        if self._treasury.purses.told.get(vault) == units:
            return []
        self._treasury.purses.told[vault] = units
        chain = self._treasury.node(vault).chain
        return [VaultBalance(vault, chain.name, chain.asset.symbol, str(units), self._now_ms)]

    # -- to keep

    def snapshot(self) -> Any:
        """All of it as plain values, fit for msgpack."""
        books = Books(self.bookings, self._jobs, self._locks, self._treasury.purses)
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
        self._jobs, self._locks, self._treasury.purses = books.jobs, books.locks, books.purses
        self.bookings = books.bookings
        for job in self._jobs.values():
            job.seen = False  # give it to the chain once more: that does no harm, and this one may be new


def _without(state: Any, taken: Iterable[str]) -> Any:
    """The facts without coins that another plan spends; of chains that have coins."""
    coins = getattr(state, "coins", None)
    if coins is None or not taken:
        return state
    return msgspec.structs.replace(state, coins=tuple(c for c in coins if f"{c.txid}:{c.index}" not in taken))


def _spendable(state: Any, kind: str, node: LocalNode[Any], key: bytes) -> set[str]:
    """What a transfer could spend now, by the names that ``consumes`` uses."""
    if kind == "bitcoin":
        return {f"{coin.txid}:{coin.index}" for coin in state.coins}
    if kind == "solana":
        return {f"{state.nonce_account}:{state.nonce}"}
    return {f"{node.chain.address(key)}:{state.nonce}"}
