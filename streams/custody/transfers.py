"""Transfers on their chains, from the plan to the end: what the coordinator's desk does for requests that are released.

A vault has one transfer under way at a time on a chain with one nonce (Solana, EVM), so that no two plans are for the same
nonce; on Bitcoin a plan takes none of the coins of another. A request that has ended and may yet be on the chain keeps nothing
from others: the next transfer may use its coins or nonce, and once that one is confirmed, the former can never be.

What is confirmed is looked at until it is so deep that no reorganisation is expected to undo it; one that was undone is sent
again, keeps its coins until then, and is said aloud (``Undone``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from m1cep.custody.chains.interface import Transfer, state_to_json
from m1cep.custody.policy.events import Spending, Spent
from m1cep.custody.request import Kind, Request
from m1cep.custody.requests.messages import Broadcast, Confirmed, Planned, Seen, Void
from m1cep.errors import CustodyError
from streams.custody.derive import derive
from streams.custody.shares import signatures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m1cep.custody.chains.interface import LocalNode, Unsigned
    from streams.custody.roster import Vault
    from streams.custody.treasury import Treasury

#: Kinds of chains whose vaults have one nonce.
ONE_NONCE = frozenset({"solana", "evm", "safe"})
#: Confirmations after which a release is not looked at any more.
SETTLED_DEPTH = 12
_MOST_DONE = 10_000
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
        undone: it was confirmed, and a reorganisation has undone it.
    """

    request: Request
    plan: bytes
    consumes: frozenset[str]
    signature: bytes = b""
    reference: str = ""
    seen: bool = False
    ended: bool = False
    undone: bool = False


class Undone(NamedTuple):
    """What was on a chain is not there any more.

    Attributes:
        vault: of which.
        what: ``deposit`` or ``release``.
        reference: of what was undone.
        units: its amount in minor units.
        request_id: of a release.
    """

    vault: str
    what: str
    reference: str
    units: int
    request_id: str = ""


Told: TypeAlias = Planned | Seen | Confirmed | Void | Spending | Undone


class Transfers:
    """All that are under way, or were not long ago.

    Args:
        vaults: those of the roster.
        treasury: the vaults on their chains.
        depth: confirmations after which a release counts.
        free: what of a vault may leave, in minor units.
        waits: is told which request waits, and for what.
    """

    def __init__(
        self,
        vaults: Mapping[str, Vault],
        treasury: Treasury,
        depth: int,
        free: Callable[[str], int],
        waits: Callable[[str, str], None],
    ) -> None:
        self._vaults, self._treasury, self._depth, self._free, self._waits = vaults, treasury, depth, free, waits
        #: By request. To look at, not to change.
        self.jobs: dict[str, Job] = {}
        #: Confirmed, and not yet so deep that they are not looked at any more; by request.
        self.done: dict[str, Job] = {}
        self.now_ms = 0

    def going(self, vault: str) -> list[Job]:
        """Those of a vault that have not ended."""
        return [job for job in self.jobs.values() if job.request.vault == vault and not job.ended]

    def set_aside(self, vault: str) -> int:
        """What those under way will take of what is free in a vault; a payout takes what was set aside for it."""
        return sum(job.request.units for job in self.going(vault) if job.request.kind is not Kind.PAYOUT)

    def forget(self, request_id: str, *, unresolved: bool) -> None:
        """A request has ended; one that is unresolved may yet be on the chain."""
        job = self.jobs.get(request_id)
        if job is None or job.undone:
            return
        if unresolved:
            job.ended = True
        else:
            del self.jobs[request_id]

    def fee(self, request_id: str) -> int:
        """What the vault paid for a confirmed release beside its amount; 0 where that is not known any more."""
        job = self.done.get(request_id)
        return 0 if job is None else self._derive(job.request, job.plan).fee

    def new_chain(self, vault: str) -> None:
        """A local chain was made anew: what was confirmed on the former one is in the vaults' funds."""
        self.done = {name: job for name, job in self.done.items() if job.request.vault != vault}

    # -- plans and broadcasts

    def plan(self, request: Request) -> list[Told]:
        """What the transaction is made of; nothing where that has to wait.

        Raises:
            CustodyError: it cannot be made now, and why.
        """
        known = self.jobs.get(request.id)
        if known is not None:
            return [Planned(request.id, known.plan)]
        key, node = self._treasury.key(request.vault), self._treasury.node(request.vault)
        going = self.going(request.vault)
        if going and request.chain.partition(":")[0] in ONE_NONCE:
            self._waits(request.id, f"{going[0].request.id} of the same vault is under way")
            return []
        plan = state_to_json(_without(node.state(key), {name for job in going for name in job.consumes}))
        unsigned = self._derive(request, plan)
        needed = unsigned.fee + (0 if request.kind is Kind.PAYOUT else request.units)
        if needed > (free := self._free(request.vault)):
            raise CustodyError(
                f"with a fee of {unsigned.fee} more would leave vault {request.vault} than the {free} that are free"
            )
        self._simulate(request, unsigned)
        self.jobs[request.id] = Job(request, plan, unsigned.consumes)
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

    def broadcast(self, said: Broadcast) -> list[Told]:
        """Give a signed transaction to the chain.

        Raises:
            CustodyError: it is not taken, and why.
        """
        request = said.request
        unsigned = self._derive(request, said.plan)
        job = self.jobs.setdefault(request.id, Job(request, said.plan, unsigned.consumes))
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
        job.seen = True
        return [Seen(job.request.id, job.reference)]

    def _derive(self, request: Request, plan: bytes) -> Unsigned:
        return derive(self._vaults, self._treasury.key(request.vault), request, plan)

    # -- what becomes of them

    def follow(self) -> list[Told]:
        """Look at the chains; what has happened to transfers since the last look."""
        told = self._undone()
        for job in list(self.jobs.values()):
            if job.request.id in self.jobs:
                told += self._follow(job)
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
        del self.jobs[job.request.id]
        job.undone, self.done[job.request.id] = False, job
        while len(self.done) > _MOST_DONE:
            del self.done[next(iter(self.done))]
        told: list[Told] = [Confirmed(job.request.id, job.reference), self._spending(job, Spent.RELEASED)]
        for other in list(self.jobs.values()):
            if other.request.vault == job.request.vault and not job.consumes.isdisjoint(other.consumes):
                told += self._is_void(other, f"transaction {job.reference} has spent what it would spend")
        return told

    def _undone(self) -> list[Told]:
        """Releases that were confirmed and are not in the chain any more: sent again with the next look."""
        told: list[Told] = []
        for name, job in list(self.done.items()):
            depth = self._treasury.node(job.request.vault).confirmations(job.reference)
            if depth == 0:
                del self.done[name]
                job.seen, job.ended, job.undone = False, False, True
                self.jobs[name] = job
                told.append(Undone(job.request.vault, "release", job.reference, job.request.units, name))
            elif depth >= SETTLED_DEPTH:
                del self.done[name]
        return told

    def _is_void(self, job: Job, why: str) -> list[Told]:
        del self.jobs[job.request.id]
        return [Void(job.request.id, why), self._spending(job, Spent.RETURNED)]

    def _spending(self, job: Job, spent: Spent) -> Spending:
        one = job.request
        return Spending(one.id, one.account, one.vault, one.chain, one.asset, one.amount, spent, self.now_ms)

    def _never(self, job: Job) -> str:
        """Why it can never be on the chain any more; empty: it may."""
        kind = job.request.chain.partition(":")[0]
        if kind == "evm" and self.now_ms // 1000 > job.request.expires_ms // 1000 + _MARGIN_S:
            return "its deadline is over"
        if not job.reference or job.seen:  # unsigned, it may be on the chain under a name that we do not know
            return ""
        vault = job.request.vault
        node, key = self._treasury.node(vault), self._treasury.key(vault)
        there = _spendable(node.state(key), kind, node, key)
        there |= {name for one in self.jobs.values() if one.seen for name in one.consumes}
        return "" if job.consumes <= there else "what it would spend is not there any more"


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
