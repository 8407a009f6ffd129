"""Solana in this process: LiteSVM runs the system program and verifies signatures as a validator does.

There are no validators, votes or forks: confirmations are slots that have passed since a transaction ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import (
    CreateAccountWithSeedParams,
    InitializeNonceAccountParams,
    TransferParams,
    create_account_with_seed,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.interface import Deposit, Simulation, check_chain
from m1cep.custody.chains.solana import SOL, SolanaChain, SolanaState

if TYPE_CHECKING:
    from solders.instruction import Instruction

    from m1cep.custody.chains.interface import Signed, Transfer, Unsigned

_NONCE_BYTES = 80  # version, state, authority, value, fee
_NONCE_VALUE = slice(40, 72)
_FEE = 5_000  # lamports a signature
_FAUCET_LAMPORTS = 100_000 * 10**9


class LocalSolana:
    """A cluster of one.

    Args:
        chain: the rules that signers build by.
        salt: two clusters with different salts have different blockhashes, as real ones do.
    """

    def __init__(self, chain: SolanaChain | None = None, salt: int = 0) -> None:
        self.chain = chain or SolanaChain()
        self._svm = LiteSVM().with_transaction_history(100_000)
        self._faucet = Keypair()
        self._ran: dict[str, tuple[int, Transaction]] = {}  # signature -> slot, transaction
        self._sent = 0
        for _ in range(salt + 1):
            self._svm.expire_blockhash()
        self._svm.airdrop(self._faucet.pubkey(), _FAUCET_LAMPORTS)

    def open_vault(self, vault_key: bytes) -> None:
        """Make the vault's nonce account: the faucet pays for it, the vault alone may advance it."""
        vault, account = self.chain.vault(vault_key), self._nonce_account(vault_key)
        if self._svm.get_account(account) is not None:
            return
        self._send_from_faucet(
            create_account_with_seed(
                CreateAccountWithSeedParams(
                    from_pubkey=self._faucet.pubkey(),
                    to_pubkey=account,
                    base=self._faucet.pubkey(),
                    seed=_seed(vault_key),
                    lamports=self._svm.minimum_balance_for_rent_exemption(_NONCE_BYTES),
                    space=_NONCE_BYTES,
                    owner=SYSTEM_PROGRAM,
                )
            ),
            initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=account, authority=vault)),
        )
        self.advance()

    def state(self, vault_key: bytes) -> SolanaState:
        """The vault's nonce and lamports."""
        name = self._nonce_account(vault_key)
        account = self._svm.get_account(name)
        if account is None:
            raise ChainRefusedError(self.chain.name, "the vault has no nonce account yet: open it first")
        return SolanaState(
            nonce_account=str(name),
            nonce=str(Hash(bytes(account.data)[_NONCE_VALUE])),
            balance=self.balance(vault_key),
            fee=_FEE,
            rent_minimum=self._svm.minimum_balance_for_rent_exemption(0),
        )

    @property
    def height(self) -> int:
        """The slot."""
        return int(self._svm.get_clock().slot)

    def balance(self, vault_key: bytes) -> int:
        """The vault's lamports."""
        return self._svm.get_balance(self.chain.vault(vault_key)) or 0

    def simulate(self, transfer_: Transfer, unsigned: Unsigned) -> Simulation:
        """Run the message without its signature, keeping nothing."""
        vault = self.chain.vault(transfer_.vault_key)
        to = self.chain.destination_account(transfer_.destination)
        transaction = Transaction.populate(Message.from_bytes(unsigned.body), [Signature.default()])
        self._svm = self._svm.with_sigverify(False)
        try:
            result = self._svm.simulate_transaction(transaction)
        finally:
            self._svm = self._svm.with_sigverify(True)
        if isinstance(result, FailedTransactionMetadata):
            raise ChainRefusedError(self.chain.name, _why(result))
        after = {account: data.lamports for account, data in result.post_accounts()}
        before = self.balance(transfer_.vault_key)
        return Simulation(before, after.get(vault, before), after[to] - (self._svm.get_balance(to) or 0))

    def broadcast(self, signed: Signed) -> None:
        """Run it now; a second time it is known already."""
        check_chain(self.chain.name, signed)
        if signed.reference not in self._ran:
            self.send(signed.payload)

    def send(self, raw: bytes) -> str:
        """Hand the runtime any transaction. Returns its signature.

        Raises:
            ChainRefusedError: with the runtime's words.
        """
        try:
            transaction = Transaction.from_bytes(raw)
        except ValueError as error:
            raise ChainRefusedError(self.chain.name, f"no transaction: {error}") from None
        result = self._svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            raise ChainRefusedError(self.chain.name, _why(result))
        reference = str(transaction.signatures[0])
        self._ran[reference] = (self._svm.get_clock().slot, transaction)
        self._svm.expire_blockhash()  # the next transaction, and the nonce when it advances, see a new one
        return reference

    def confirmations(self, reference: str) -> int:
        """Slots from the transaction's up to now."""
        ran = self._ran.get(reference)
        return 0 if ran is None else self._svm.get_clock().slot - ran[0] + 1

    def deposits(self, vault_key: bytes) -> list[Deposit]:
        """System transfers to the vault from other accounts, of transactions that succeeded."""
        vault = self.chain.vault(vault_key)
        return [
            Deposit(f"{reference}:{number}", lamports, self.confirmations(reference), slot)
            for reference, (slot, transaction) in self._ran.items()
            for number, lamports in _paid_to(vault, transaction)
        ]

    def fund(self, address: str, amount: int) -> str:
        """Pay from the faucet, at once."""
        SOL.check(amount)
        to = self.chain.destination_account(address)
        return self._send_from_faucet(
            transfer(TransferParams(from_pubkey=self._faucet.pubkey(), to_pubkey=to, lamports=amount))
        )

    def advance(self, blocks: int = 1) -> None:
        """Let slots pass."""
        self._svm.warp_to_slot(self._svm.get_clock().slot + blocks)
        self._svm.expire_blockhash()

    def close(self) -> None:
        """Nothing is kept outside of this object."""

    def _nonce_account(self, vault_key: bytes) -> Pubkey:
        return Pubkey.create_with_seed(self._faucet.pubkey(), _seed(vault_key), SYSTEM_PROGRAM)

    def _send_from_faucet(self, *instructions: Instruction) -> str:
        message = Message.new_with_blockhash(list(instructions), self._faucet.pubkey(), self._svm.latest_blockhash())
        transaction = Transaction.new_unsigned(message)
        transaction.sign([self._faucet], self._svm.latest_blockhash())
        return self.send(bytes(transaction))


def _seed(vault_key: bytes) -> str:
    """At most 32 characters: the vault's own, one nonce account each."""
    return f"m1cep-{vault_key.hex()[:26]}"


def _paid_to(vault: Pubkey, transaction: Transaction) -> list[tuple[int, int]]:
    """Number of the instruction and lamports, of system transfers from others to the vault."""
    message = transaction.message
    found = []
    for number, one in enumerate(message.instructions):
        data, accounts = bytes(one.data), [message.account_keys[at] for at in one.accounts]
        is_transfer = message.account_keys[one.program_id_index] == SYSTEM_PROGRAM and data[:4] == b"\x02\0\0\0"
        if is_transfer and accounts[1] == vault and accounts[0] != vault:
            found.append((number, int.from_bytes(data[4:12], "little")))
    return found


def _why(result: FailedTransactionMetadata) -> str:
    said = [line for line in result.meta().logs() if "success" not in line and "invoke" not in line]
    return f"{result.err()}{': ' + '; '.join(said) if said else ''}"
