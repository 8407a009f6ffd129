"""Vaults on an EVM chain in this process: our own contract, and Safes.

The faucet is also the one who brings releases and pays their gas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.evm.common import ETH, ZERO, call
from m1cep.custody.chains.evm.safe import PROXY_FACTORY, SAFE_L2, SINGLETON_FACTORY, SafeChain
from m1cep.custody.chains.evm.vault import DEPLOYER, EvmChain, EvmState
from m1cep.custody.chains.interface import Deposit, Simulation, check_chain
from streams.chains.evm_machine import EvmMachine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.chains.interface import Signed, Transfer, Unsigned

ChainT = TypeVar("ChainT", EvmChain, SafeChain)


class _LocalEvm(Generic[ChainT]):
    """What nodes of both kinds of vaults share."""

    _deposited: str
    _released: str

    def __init__(self, chain: ChainT, machine: EvmMachine) -> None:
        self.chain: ChainT = chain
        self.machine = machine
        self._vaults: set[str] = set()

    def state(self, vault_key: bytes) -> EvmState:
        """The vault's next number and its wei."""
        vault = self._opened(vault_key)
        return EvmState(
            nonce=_number(self.machine.ask(vault, call("nonce()", []))), balance=self.machine.balance(vault)
        )

    @property
    def height(self) -> int:
        """Of the latest block."""
        return self.machine.height()

    def balance(self, vault_key: bytes) -> int:
        """The vault's wei."""
        return self.machine.balance(self.chain.address(vault_key))

    def broadcast(self, signed: Signed) -> None:
        """Bring it to the contract, unless that has happened."""
        check_chain(self.chain.name, signed)
        self._vaults.add("0x" + signed.payload[:20].hex())
        if not self.confirmations(signed.reference):
            self.send(signed.payload)

    def send(self, payload: bytes) -> str:
        """Call a contract with anything: 20 bytes of its address, then data. Returns the transaction's hash."""
        return self.machine.send("0x" + payload[:20].hex(), payload[20:])

    def confirmations(self, reference: str) -> int:
        """Blocks from the release's up to the latest, whoever brought it."""
        for vault in self._vaults:
            for log in self.machine.logs(vault, self._released):
                if log["topics"][1] == reference:
                    return int(self.machine.height() - log["block_number"] + 1)
        return 0

    def deposits(self, vault_key: bytes) -> list[Deposit]:
        """What the contract has logged as received; what came before it was made is one deposit."""
        height = self.machine.height()
        return [
            Deposit(
                f"{log['transaction_hash']}:{log['log_index']}",
                _number(bytes.fromhex(str(log["data"]).removeprefix("0x"))),
                height - log["block_number"] + 1,
                log["block_number"],
            )
            for log in self.machine.logs(self.chain.address(vault_key), self._deposited)
        ]

    def fund(self, address: str, amount: int) -> str:
        """Pay from the faucet, in a block at once."""
        ETH.check(amount)
        return self.machine.send(address, b"", amount)

    def advance(self, blocks: int = 1) -> None:
        """Let blocks pass."""
        self.machine.advance(blocks)

    def close(self) -> None:
        """Nothing is kept outside of this object."""

    def _opened(self, vault_key: bytes) -> str:
        vault: str = self.chain.address(vault_key)
        if not self.machine.has_code(vault):
            raise ChainRefusedError(self.chain.name, f"the vault's contract {vault} is not there yet: open it first")
        self._vaults.add(vault.lower())
        return vault

    def _paid(self, transfer: Transfer) -> Simulation:
        """Whether the destination takes the amount; asked with the faucet as sender, since contracts cannot send."""
        vault, amount = self.chain.address(transfer.vault_key), transfer.amount
        self.machine.ask(transfer.destination, b"", amount)
        before = self.machine.balance(vault)
        return Simulation(before, before - amount, amount)


class LocalEvm(_LocalEvm[EvmChain]):
    """Vaults of our own contract."""

    _deposited = "Deposited(address,uint256)"
    _released = "Released(bytes32,uint256,address,uint256)"

    def __init__(self, machine: EvmMachine | None = None) -> None:
        machine = machine or EvmMachine()
        super().__init__(EvmChain(machine.chain_id), machine)

    def open_vault(self, vault_key: bytes) -> None:
        """Make the vault's contract."""
        if not self.machine.has_code(self.chain.address(vault_key)):
            self.machine.send(DEPLOYER, bytes(32) + self.chain.init_code(vault_key))
        self._opened(vault_key)

    def simulate(self, transfer: Transfer, unsigned: Unsigned) -> Simulation:
        """Ask the contract whether it would release this now, and for its own idea of the digest."""
        arguments = [transfer.destination, transfer.amount, transfer.deadline_s]
        digest = self.machine.ask(
            self._opened(transfer.vault_key), call("release_digest(address,uint256,uint256)", arguments)
        )
        if digest != unsigned.to_sign[0].message:
            raise ChainRefusedError(
                self.chain.name, "the contract's next digest is another: stale facts, or another chain"
            )
        return self._paid(transfer)


class LocalSafe(_LocalEvm[SafeChain]):
    """Safes 1.4.1 of m of n owners.

    Args:
        machine: the chain.
        code: init codes of the Safe's contracts, see ``streams.chains.safe``.
    """

    _deposited = "SafeReceived(address,uint256)"
    _released = "ExecutionSuccess(bytes32,uint256)"

    def __init__(self, machine: EvmMachine, code: Mapping[str, bytes]) -> None:
        super().__init__(SafeChain(machine.chain_id, code["proxy"]), machine)
        for name, address in (("safe", SAFE_L2), ("factory", PROXY_FACTORY)):
            if not machine.has_code(address):
                machine.send(SINGLETON_FACTORY, bytes(32) + code[name])
            if not machine.has_code(address):
                raise ChainRefusedError(
                    self.chain.name, f"the Safe's {name} contract is not what is at {address} elsewhere"
                )

    def open_vault(self, vault_key: bytes) -> None:
        """Make the Safe."""
        if not self.machine.has_code(self.chain.address(vault_key)):
            self.machine.send(PROXY_FACTORY, self.chain.creation(vault_key))
        self._opened(vault_key)

    def simulate(self, transfer: Transfer, unsigned: Unsigned) -> Simulation:
        """Ask the Safe for its own idea of the digest, and whether the destination takes the amount."""
        nonce = self.state(transfer.vault_key).nonce
        signature = "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
        arguments = [transfer.destination, transfer.amount, b"", 0, 0, 0, 0, ZERO, ZERO, nonce]
        if (
            self.machine.ask(self._opened(transfer.vault_key), call(signature, arguments))
            != unsigned.to_sign[0].message
        ):
            raise ChainRefusedError(self.chain.name, "the Safe's next digest is another: stale facts, or another chain")
        return self._paid(transfer)


def _number(word: bytes) -> int:
    return int.from_bytes(word[:32], "big")
