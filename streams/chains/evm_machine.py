"""The EVM chain itself: py-evm behind eth-tester; every transaction gets its block at once.

The deterministic deployment proxy and the Safe's singleton factory are there from the beginning, as on real chains, so that
contracts have their real addresses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.evm.safe import SINGLETON_FACTORY
from m1cep.custody.chains.evm.vault import DEPLOYER
from streams.chains.limits import usual_recursion_limit

with usual_recursion_limit():
    from eth_tester import EthereumTester, PyEVMBackend
    from eth_tester.exceptions import TransactionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


def _reason(error: TransactionFailed) -> str:
    """A contract's words, from what eth-tester raises."""
    said = str(error.args[0]) if error.args else ""
    data = said.removeprefix("execution reverted: ")
    if data.startswith("0x08c379a0"):
        words: tuple[str] = decode(["string"], bytes.fromhex(data[10:]))
        return words[0]
    return data if data not in ("", "0x", "b''") else "reverted"
