"""An EVM chain in this process: py-evm executes, behind eth-tester; every transaction gets its block at once.

The deterministic deployment proxy and the Safe's singleton factory are there from the beginning, as on real chains, so that
contracts have their real addresses. The faucet is also the one who brings releases and pays their gas.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eth_abi.abi import decode
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.crypto import keccak

from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.evm.common import ETH, call
from m1cep.custody.chains.evm.safe import PROXY_FACTORY, SAFE_L2, SINGLETON_FACTORY, SafeChain
from m1cep.custody.chains.evm.vault import DEPLOYER, EvmChain, EvmState
from m1cep.custody.chains.interface import Deposit, Simulation, check_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.custody.chains.interface import Signed, Transfer, Unsigned

CHAIN_ID = 31_337  # what local development chains use
_GAS = 10_000_000
_MUCH = 10**9 * 10**18
# Code of the proxy at DEPLOYER: CREATE2 with the first word of the call as salt and the rest as init code.
_DEPLOYER_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
)


class EvmMachine:
    """The chain itself, for any number of kinds of vaults.

    Args:
        chain_id: that contracts and signatures see.
        clock_s: Unix seconds now; blocks are stamped with it, or later.
    """

    def __init__(self, chain_id: int = CHAIN_ID, clock_s: Callable[[], float] = time.time) -> None:
        self.chain_id = chain_id
        self._clock_s = clock_s
        genesis: dict[bytes, dict[str, object]] = {
            _raw(address): {"balance": 0, "nonce": 1, "code": _DEPLOYER_CODE, "storage": {}}
            for address in (DEPLOYER, SINGLETON_FACTORY)
        }
        self._backend = PyEVMBackend()
        faucet = self._backend.account_keys[0].public_key.to_canonical_address()
        genesis[faucet] = {"balance": _MUCH, "nonce": 0, "code": b"", "storage": {}}
        parameters = {"timestamp": int(clock_s()), "gas_limit": 3 * _GAS}
        self._backend = PyEVMBackend(
            genesis_state=genesis, genesis_parameters=PyEVMBackend.generate_genesis_params(parameters)
        )
        self._backend.chain.chain_id = chain_id
        self._tester = EthereumTester(backend=self._backend)
        self._logs: list[Mapping[str, Any]] = []
        self._read_to = 0  # height up to which logs have been read: there are no forks here
        self.faucet: str = self._tester.get_accounts()[0]

    def height(self) -> int:
        """Of the latest block."""
        return int(self._tester.get_block_by_number("latest")["number"])

    def balance(self, address: str) -> int:
        """In wei."""
        return int(self._tester.get_balance(address))

    def has_code(self, address: str) -> bool:
        """Whether a contract is there."""
        return bool(self._tester.get_code(address) not in ("0x", b"", None))

    def ask(self, to: str, data: bytes, value: int = 0) -> bytes:
        """The answer to a call that changes nothing.

        Raises:
            ChainRefusedError: it would revert; with the contract's reason.
        """
        self._tick()
        transaction = {"from": self.faucet, "to": to, "data": "0x" + data.hex(), "gas": _GAS, "value": value}
        try:
            answer: str = self._tester.call(transaction, "pending")
        except TransactionFailed as error:
            raise ChainRefusedError(f"evm:{self.chain_id}", _reason(error)) from None
        return bytes.fromhex(answer.removeprefix("0x"))

    def send(self, to: str, data: bytes, value: int = 0) -> str:
        """A transaction of the faucet, in a block of its own. Returns its hash.

        Raises:
            ChainRefusedError: it is in the block and has reverted.
        """
        self._tick()
        transaction: dict[str, Any] = {"from": self.faucet, "to": to, "gas": _GAS, "value": value}
        transaction["data"] = "0x" + data.hex()
        transaction |= {"max_fee_per_gas": 10**10, "max_priority_fee_per_gas": 10**9}
        reason = ""
        try:
            self._tester.call(transaction, "pending")
        except TransactionFailed as error:
            reason = _reason(error)
        reference: str = self._tester.send_transaction(transaction)
        if self._tester.get_transaction_receipt(reference)["status"] != 1:
            raise ChainRefusedError(f"evm:{self.chain_id}", reason or "reverted")
        return reference

    def logs(self, address: str, event: str) -> list[Mapping[str, Any]]:
        """What a contract has logged of an event such as ``Deposited(address,uint256)``, oldest first."""
        height = self.height()
        if height > self._read_to:
            self._logs += self._tester.get_logs(from_block=self._read_to + 1, to_block=height)
            self._read_to = height
        topic = "0x" + keccak(text=event).hex()
        return [log for log in self._logs if log["topics"][0] == topic and log["address"].lower() == address.lower()]

    def advance(self, blocks: int) -> None:
        """Make empty blocks."""
        for _ in range(blocks):
            self._tick()
            self._tester.mine_block()

    def _tick(self) -> None:
        chain: Any = self._backend.chain
        now_s = int(self._clock_s())
        if now_s > chain.header.timestamp:
            chain.header = chain.header.copy(timestamp=now_s)


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
        zero = "0x" + "00" * 20
        nonce = self.state(transfer.vault_key).nonce
        signature = "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
        arguments = [transfer.destination, transfer.amount, b"", 0, 0, 0, 0, zero, zero, nonce]
        if (
            self.machine.ask(self._opened(transfer.vault_key), call(signature, arguments))
            != unsigned.to_sign[0].message
        ):
            raise ChainRefusedError(self.chain.name, "the Safe's next digest is another: stale facts, or another chain")
        return self._paid(transfer)


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


def _number(word: bytes) -> int:
    return int.from_bytes(word[:32], "big")


def _reason(error: TransactionFailed) -> str:
    """A contract's words, from what eth-tester raises."""
    said = str(error.args[0]) if error.args else ""
    data = said.removeprefix("execution reverted: ")
    if data.startswith("0x08c379a0"):
        words: tuple[str] = decode(["string"], bytes.fromhex(data[10:]))
        return words[0]
    return data if data not in ("", "0x", "b''") else "reverted"
