"""Bitcoin regtest in this process: Bitcoin Core's consensus code decides which blocks, and so which transactions, are valid.

The kernel has no mempool and no miner. ``broadcast`` verifies the scripts with the kernel and keeps the transaction for the next
block; ``advance`` makes blocks. What a block may contain is the kernel's decision alone: ``mine`` hands it anything.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pbk
from pbk.script import PrecomputedTransactionData

from m1cep.custody.chains.bitcoin.chain import BTC, REGTEST, BitcoinChain, BitcoinCoin, BitcoinState
from m1cep.custody.chains.bitcoin.transaction import Input, Output, Transaction, virtual_size, with_witnesses
from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.interface import Deposit, Simulation, check_chain
from streams.chains.bitcoin_blocks import ANYONE, FAUCET, block_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.chains.interface import Signed, Transfer, Unsigned

MATURITY = 100  # blocks before a coinbase may be spent
_FAUCET_COINS = 20  # payments from the faucet that one block can have at first
_FLAGS = pbk.ScriptVerificationFlags.ALL


@dataclass(frozen=True, slots=True)
class _Coin:
    """An output that is not spent. ``txid`` in the protocol's order of bytes."""

    txid: bytes
    index: int
    amount: int
    script: bytes
    height: int
    coinbase: bool
    spent_with: frozenset[bytes]  # scripts of the coins that the transaction spent: change of a vault is no deposit


class LocalBitcoin:
    """A regtest chain.

    Args:
        chain: the rules that signers build by.
        fee_rate: that ``state`` tells, in satoshi a virtual byte.
        salt: two chains with different salts have no coin in common, as real networks have none.
    """

    def __init__(self, chain: BitcoinChain | None = None, fee_rate: int = 2, salt: int = 0) -> None:
        self.chain = chain or BitcoinChain(REGTEST)
        self.fee_rate = fee_rate
        self._folder = Path(tempfile.mkdtemp(prefix="m1cep-regtest-"))
        self._kernel: pbk.ChainstateManager | None = pbk.load_chainman(self._folder, pbk.ChainType.REGTEST)
        self._waiting: dict[str, bytes] = {}
        self._hashes: list[bytes] = []
        self._coins: dict[tuple[bytes, int], _Coin] = {}  # not spent
        self._outputs: dict[tuple[bytes, int], _Coin] = {}  # spent ones too
        self._height_of: dict[str, int] = {}
        self._made = salt << 32
        self._sync()
        self.advance(MATURITY + _FAUCET_COINS)

    @property
    def height(self) -> int:
        """Of the latest block."""
        return int(self._active.height)

    def open_vault(self, vault_key: bytes) -> None:
        """A taproot output needs nothing before it can be paid to."""

    def state(self, vault_key: bytes) -> BitcoinState:
        """The vault's coins but those that a waiting transaction spends, and the fee's rate."""
        taken = self._taken()
        coins = tuple(
            BitcoinCoin(txid=coin.txid[::-1].hex(), index=coin.index, amount=coin.amount)
            for coin in self._spendable(self.chain.script(vault_key))
            if (coin.txid, coin.index) not in taken
        )
        return BitcoinState(coins=coins, fee_rate=self.fee_rate)

    def balance(self, vault_key: bytes) -> int:
        """Sum of the vault's coins, in satoshi."""
        return sum(coin.amount for coin in self._spendable(self.chain.script(vault_key)))

    def simulate(self, transfer: Transfer, unsigned: Unsigned) -> Simulation:
        """What the outputs pay to whom, with the kernel's reading of the transaction and this chain's unspent coins."""
        try:
            transaction = pbk.Transaction(unsigned.body)
        except RuntimeError as error:
            raise ChainRefusedError(self.chain.name, f"no transaction: {error}") from None
        own, to = self.chain.script(transfer.vault_key), self.chain.destination_script(transfer.destination)
        spent = sum(coin.amount for coin in self._inputs(transaction) if coin.script == own)
        outputs = [(bytes(output.script_pubkey), int(output.amount)) for output in transaction.outputs]
        before = self.balance(transfer.vault_key)
        back = sum(amount for script, amount in outputs if script == own)
        return Simulation(before, before - spent + back, sum(amount for script, amount in outputs if script == to))

    def broadcast(self, signed: Signed) -> None:
        """Keep the transaction for the next block once its scripts verify against coins that are unspent."""
        check_chain(self.chain.name, signed)
        if self.confirmations(signed.reference) or signed.reference in self._waiting:
            return
        try:
            transaction = pbk.Transaction(signed.payload)
        except RuntimeError as error:
            raise ChainRefusedError(self.chain.name, f"no transaction: {error}") from None
        coins = self._inputs(transaction)
        if not self._taken().isdisjoint(_outpoints(transaction)):
            raise ChainRefusedError(self.chain.name, "a coin is spent by a transaction that waits for its block")
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(coin.script), coin.amount) for coin in coins]
        spent = PrecomputedTransactionData(transaction, outputs)
        for index, coin in enumerate(coins):
            if not pbk.ScriptPubkey(coin.script).verify(coin.amount, transaction, spent, index, _FLAGS):
                raise ChainRefusedError(self.chain.name, f"the script of input {index} does not verify")
        self._waiting[signed.reference] = signed.payload

    def confirmations(self, reference: str) -> int:
        """Blocks from the transaction's up to the latest."""
        height = self._height_of.get(reference)
        return 0 if height is None else self.height - height + 1

    def deposits(self, vault_key: bytes) -> list[Deposit]:
        """Outputs to the vault of transactions that spend nothing of the vault's."""
        own = self.chain.script(vault_key)
        found = [coin for coin in self._outputs.values() if coin.script == own and own not in coin.spent_with]
        return [
            Deposit(f"{coin.txid[::-1].hex()}:{coin.index}", coin.amount, self.height - coin.height + 1, coin.height)
            for coin in sorted(found, key=lambda coin: (coin.height, coin.txid, coin.index))
        ]

    def fund(self, address: str, amount: int) -> str:
        """Pay from the faucet, with the next block."""
        BTC.check(amount)
        pay = Output(amount, self.chain.destination_script(address))
        taken = self._taken()
        chosen: list[Input] = []
        for coin in self._spendable(FAUCET):
            if (coin.txid, coin.index) in taken:
                continue
            chosen.append(Input(coin.txid, coin.index, coin.amount, coin.script))
            change = (
                sum(one.amount for one in chosen)
                - amount
                - self.fee_rate * virtual_size(len(chosen), [pay.script, FAUCET])
            )
            if change > 0:
                transaction = Transaction(tuple(chosen), (pay, Output(change, FAUCET)))
                reference = transaction.txid[::-1].hex()
                self._waiting[reference] = with_witnesses(transaction.body, [[ANYONE]] * len(chosen))
                return reference
        raise ChainRefusedError(self.chain.name, "the faucet has not that much: let blocks pass")

    def advance(self, blocks: int = 1) -> None:
        """Make blocks; what waits goes into the first, unless its coins were spent meanwhile."""
        for number in range(blocks):
            if number == 0:
                self._waiting = {name: raw for name, raw in self._waiting.items() if self._has_coins(raw)}
            if not self.mine(list(self._waiting.values()) if number == 0 else []):
                raise ChainRefusedError(self.chain.name, "the kernel did not accept the block")

    def mine(self, transactions: Sequence[bytes]) -> bool:
        """Hand the kernel a block with these transactions, on the latest.

        Returns:
            whether it is the latest now: the kernel has accepted every transaction in it.
        """
        made = self._make(transactions, self._active.block_tree_entries[self.height])
        return made is not None and self._hashes[-1] == bytes(made.block_hash)

    def reorganise(self, depth: int) -> None:
        """Replace the latest blocks by one more, empty: what was in them has not happened (and waits nowhere)."""
        parent = self._active.block_tree_entries[self.height - depth]
        for _ in range(depth + 1):
            made = self._make([], parent)
            if made is None:
                raise ChainRefusedError(self.chain.name, "the kernel did not accept an empty block")
            parent = self._manager.block_tree_entries[made.block_hash]

    def close(self) -> None:
        """End the kernel and remove its folder."""
        self._kernel = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, transactions: Sequence[bytes], parent: pbk.BlockTreeEntry) -> pbk.Block | None:
        self._made += 1
        block = pbk.Block(block_bytes(parent, transactions, self._made))
        try:
            self._manager.process_block(block)
        except pbk.ProcessBlockException:
            return None
        self._sync()
        return block

    @property
    def _manager(self) -> pbk.ChainstateManager:
        if self._kernel is None:
            raise ChainRefusedError(self.chain.name, "this chain is closed")
        return self._kernel

    @property
    def _active(self) -> pbk.Chain:
        return self._manager.get_active_chain()

    def _spendable(self, script: bytes) -> list[_Coin]:
        ripe = self.height + 1 - MATURITY
        coins = [c for c in self._coins.values() if c.script == script and (not c.coinbase or c.height <= ripe)]
        return sorted(coins, key=lambda coin: (coin.height, coin.txid, coin.index))

    def _taken(self) -> set[tuple[bytes, int]]:
        """What waiting transactions spend."""
        return {point for raw in self._waiting.values() for point in _outpoints(pbk.Transaction(raw))}

    def _has_coins(self, raw: bytes) -> bool:
        return all(point in self._coins for point in _outpoints(pbk.Transaction(raw)))

    def _inputs(self, transaction: pbk.Transaction) -> list[_Coin]:
        coins = []
        for point in _outpoints(transaction):
            if point not in self._coins:
                raise ChainRefusedError(
                    self.chain.name, f"coin {point[0][::-1].hex()}:{point[1]} is spent or never was"
                )
            coins.append(self._coins[point])
        return coins

    def _sync(self) -> None:
        """Follow the active chain: a block that is no longer in it takes everything back to the fork."""
        entries = self._active.block_tree_entries
        height = self.height
        known = self._hashes[: height + 1]
        if len(known) < len(self._hashes) or (known and bytes(entries[len(known) - 1].block_hash) != known[-1]):
            self._hashes, self._coins, self._outputs, self._height_of = [], {}, {}, {}
        for at in range(len(self._hashes), height + 1):
            entry = entries[at]
            self._hashes.append(bytes(entry.block_hash))
            if at:  # the genesis block's output is not spendable and its body not on disk
                self._read(self._manager.blocks[entry], at)

    def _read(self, block: pbk.Block, height: int) -> None:
        for number, transaction in enumerate(block.transactions):
            points = _outpoints(transaction) if number else []
            spent_with = frozenset(self._coins.pop(point).script for point in points)
            txid = bytes(transaction.txid)
            self._height_of[txid[::-1].hex()] = height
            self._waiting.pop(txid[::-1].hex(), None)
            for index, output in enumerate(transaction.outputs):
                script = bytes(output.script_pubkey)
                coin = _Coin(txid, index, int(output.amount), script, height, number == 0, spent_with)
                self._outputs[txid, index] = self._coins[txid, index] = coin


def _outpoints(transaction: pbk.Transaction) -> list[tuple[bytes, int]]:
    return [(bytes(one.out_point.txid), int(one.out_point.index)) for one in transaction.inputs]
