"""The vaults on their chains: addresses, what is in them, what of it is free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from m1cep.errors import CustodyError
from streams.custody.transfers import SETTLED_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from m1cep.custody.chains.interface import Deposit, LocalNode
    from streams.custody.roster import Vault


class Settled(msgspec.Struct, frozen=True):
    """The newest deposit so deep that no reorganisation is expected to undo it. It and all up to its height have counted."""

    height: int = -1
    reference: str = ""


class Purses(msgspec.Struct):
    """What is remembered of vaults.

    Attributes:
        told: what signers were last told to be free in each, in minor units.
        told_at: the height of the chain then.
        held: what each had last, for a local chain that is made anew.
        credited: deposits that count and may be undone yet: minor units by reference.
        settled: up to where the others are, which need not be told one from the other.
    """

    told: dict[str, int] = {}
    told_at: dict[str, int] = {}
    held: dict[str, int] = {}
    credited: dict[str, dict[str, int]] = {}
    settled: dict[str, Settled] = {}


class Weight(NamedTuple):
    """What a look at a vault gave.

    Attributes:
        units: that count, in minor units.
        fresh: deposits that count since this look.
        gone: deposits that had counted and are not in the chain any more: minor units by reference.
    """

    units: int
    fresh: list[Deposit]
    gone: dict[str, int]


class Treasury:
    """The vaults that have a key, and the software of their chains.

    Args:
        vaults: those of the roster.
        open_node: gives the software of a chain by its name; called once for each that a vault needs.
        depth: confirmations after which a deposit counts.
    """

    def __init__(self, vaults: Mapping[str, Vault], open_node: Callable[[str], LocalNode[Any]], depth: int) -> None:
        self._vaults, self._open_node, self._depth = vaults, open_node, depth
        self._settled_depth = max(depth, SETTLED_DEPTH)
        self._nodes: dict[str, LocalNode[Any]] = {}
        self._keys: dict[str, bytes] = {}
        self._addresses: dict[str, str] = {}
        self.purses = Purses()
        #: Vaults with deposits that do not count yet.
        self.young: set[str] = set()
        #: Vaults whose local chain was made anew since they had their deposits.
        self.anew: set[str] = set()

    def __iter__(self) -> Any:
        return iter(list(self._keys))

    def open(self, vault: str, key: bytes) -> bool:
        """Make on its chain what a vault needs; a local chain that is new gets what the vault had. Whether that is news."""
        if self._keys.get(vault) == key:
            return False
        node = self.node(vault)
        node.open_vault(key)
        self._keys[vault] = key
        self._addresses.pop(vault, None)
        known = {*self.purses.credited.get(vault, {}), self._settled(vault).reference} - {""}
        if known and known.isdisjoint(one.reference for one in node.deposits(key)):
            self.anew.add(vault)
            self.purses.credited.pop(vault, None)
            self.purses.settled.pop(vault, None)
        missing = self.purses.held.get(vault, 0) - node.balance(key)
        if missing > 0:
            node.fund(node.chain.address(key), missing)
            node.advance(self._depth)
            # What it had is no news.
            self.purses.credited.setdefault(vault, {}).update(
                {one.reference: one.amount for one in self._unsettled(vault)}
            )
        return True

    def fund(self, vault: str, amount: str) -> int:
        """Pay into a vault from the faucet of its local chain; minor units.

        Raises:
            CustodyError: the vault has no key yet, the amount is none, or more than the faucet has.
        """
        key, node = self.key(vault), self.node(vault)
        units = node.chain.asset.parse(amount)
        node.fund(node.chain.address(key), units)
        return units

    def key(self, vault: str) -> bytes:
        """The group's public key.

        Raises:
            CustodyError: there is none yet.
        """
        key = self._keys.get(vault)
        if key is None:
            raise CustodyError(f"vault {vault} has no key yet; make one: m1cep custody keygen {vault}")
        return key

    def node(self, vault: str) -> LocalNode[Any]:
        """The software of its chain.

        Raises:
            CustodyError: it runs another chain.
        """
        name = self._vaults[vault].chain
        if name not in self._nodes:
            node = self._open_node(name)
            if node.chain.name != name:
                raise CustodyError(f"vault {vault} is on {name}, and the software at hand runs {node.chain.name}")
            self._nodes[name] = node
        return self._nodes[name]

    def account(self, vault: str) -> str:
        """Whose it is."""
        return self._vaults[vault].account

    def address(self, vault: str) -> str:
        """Where it receives."""
        found = self._addresses.get(vault)
        if found is None:
            found = self._addresses[vault] = str(self.node(vault).chain.address(self.key(vault)))
        return found

    def weigh(self, vault: str) -> Weight:
        """What counts in a vault: its balance without deposits that have too few confirmations."""
        node, key = self.node(vault), self.key(vault)
        credited = self.purses.credited.setdefault(vault, {})
        young, fresh = 0, []
        there = self._unsettled(vault)
        gone = {name: credited[name] for name in credited.keys() - {one.reference for one in there}}
        for name in gone:
            del credited[name]
        for deposit in there:
            if deposit.confirmations < self._depth:
                young += deposit.amount
            elif deposit.reference not in credited:
                credited[deposit.reference] = deposit.amount
                fresh.append(deposit)
        (self.young.add if young else self.young.discard)(vault)
        self._settle(vault, [one for one in there if one.confirmations >= self._settled_depth])
        units = self.purses.held[vault] = node.balance(key) - young
        return Weight(units, fresh, gone)

    def _settled(self, vault: str) -> Settled:
        return self.purses.settled.get(vault, Settled())

    def _unsettled(self, vault: str) -> list[Deposit]:
        """Deposits in the chain that have not counted, or may be undone yet."""
        height = self._settled(vault).height
        return [one for one in self.node(vault).deposits(self.key(vault)) if one.height > height]

    def _settle(self, vault: str, deep: Sequence[Deposit]) -> None:
        """All of these count, and will: of them only the newest is remembered, or the memory of a busy vault had no end."""
        if deep:
            newest = max(deep, key=lambda one: one.height)
            self.purses.settled[vault] = Settled(newest.height, newest.reference)
            for one in deep:
                self.purses.credited[vault].pop(one.reference, None)

    def advance(self) -> None:
        """A block on every local chain."""
        for node in self._nodes.values():
            node.advance()

    def close(self) -> None:
        """Let go of the chains' software."""
        for node in self._nodes.values():
            node.close()
