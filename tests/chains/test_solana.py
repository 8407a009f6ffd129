"""Solana alone: LiteSVM."""

import pytest
from frostworld import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from m1cep.custody.chains.errors import ChainRefusedError, DestinationRefusedError, TransferRefusedError
from m1cep.custody.chains.interface import ToSign
from m1cep.custody.chains.solana import SolanaState

ONE = 10**9  # lamports


def test_an_approval_may_take_long_because_of_the_nonce(solana):
    """The same payment with an ordinary blockhash is void by then."""
    vault, to = solana.vault(5 * ONE), solana.stranger()
    unsigned = solana.chain.build(solana.transfer(vault, to, ONE), solana.node.state(vault.key))
    account = Pubkey(vault.key)
    pay = transfer(TransferParams(from_pubkey=account, to_pubkey=Pubkey.from_string(to), lamports=ONE))
    plain = Message.new_with_blockhash([pay], account, solana.node._svm.latest_blockhash())
    wanted = ToSign(solana.chain.scheme, bytes(plain), vault.key)
    ordinary = Transaction.populate(plain, [Signature.from_bytes(vault.sign(wanted)[0])])
    solana.node.advance(10_000)
    with pytest.raises(ChainRefusedError, match="BlockhashNotFound"):
        solana.node.send(bytes(ordinary))
    solana.node.broadcast(solana.chain.attach(unsigned, solana.sign(vault, unsigned)))
    assert solana.has(to) == ONE


def test_what_a_vault_pays_itself_is_no_deposit(solana):
    vault = solana.vault(5 * ONE)
    account = Pubkey(vault.key)
    pay = transfer(TransferParams(from_pubkey=account, to_pubkey=account, lamports=ONE))
    plain = Message.new_with_blockhash([pay], account, solana.node._svm.latest_blockhash())
    wanted = ToSign(solana.chain.scheme, bytes(plain), vault.key)
    solana.node.send(bytes(Transaction.populate(plain, [Signature.from_bytes(vault.sign(wanted)[0])])))
    assert [deposit.amount for deposit in solana.node.deposits(vault.key)] == [5 * ONE]


def test_a_nonce_account_of_somebody_else_makes_signatures_useless(solana):
    vault, other, to = solana.vault(5 * ONE), solana.vault(), solana.stranger()
    mine, theirs = solana.node.state(vault.key), solana.node.state(other.key)
    lie = SolanaState(
        nonce_account=theirs.nonce_account,
        nonce=theirs.nonce,
        balance=mine.balance,
        fee=mine.fee,
        rent_minimum=mine.rent_minimum,
    )
    honest, lied = (solana.chain.build(solana.transfer(vault, to, ONE), state) for state in (mine, lie))
    assert not honest.excludes(lied)  # a signer who has signed the one must not sign the other
    assert not solana.chain_takes(solana.forged(lied, solana.sign(vault, lied)))
    assert solana.has(to) == 0


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("11111111111111111111111111111111", "program of the system"),
        ("SysvarC1ock11111111111111111111111111111111", "program of the system"),
        (str(Pubkey.find_program_address([b"x"], Pubkey.from_string("1" * 32))[0]), "program's, no key"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "no Solana address"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "no Solana address"),
        (str(Keypair.from_seed(seeded("x")(32))), "no Solana address"),  # a secret key in Base58
        ("", "no Solana address"),
    ],
)
def test_what_nobody_could_have_back_is_refused(solana, address, why):
    with pytest.raises(DestinationRefusedError, match=why):
        solana.chain.destination(address)


def test_a_refused_secret_key_is_not_repeated_in_the_error(solana):
    secret = str(Keypair.from_seed(seeded("x")(32)))
    with pytest.raises(DestinationRefusedError) as caught:
        solana.chain.destination(secret)
    assert secret not in str(caught.value)


def test_a_vault_keeps_nothing_or_the_rent(solana):
    vault, to = solana.vault(ONE), solana.stranger()
    state = solana.node.state(vault.key)
    with pytest.raises(TransferRefusedError, match="rent"):
        solana.chain.build(solana.transfer(vault, to, ONE - state.fee - 1), state)
    solana.release(vault, to, ONE - state.fee)
    assert (solana.node.balance(vault.key), solana.has(to)) == (0, ONE - state.fee)


def test_too_little_for_a_new_account_shows_in_the_simulation(solana):
    vault, to = solana.vault(ONE), solana.stranger()
    asked = solana.transfer(vault, to, 1)
    unsigned = solana.chain.build(asked, solana.node.state(vault.key))
    with pytest.raises(ChainRefusedError, match=r"(?i)rent"):
        solana.node.simulate(asked, unsigned)
    assert solana.node.state(vault.key).nonce in next(iter(unsigned.consumes))  # nothing was kept of it


def test_the_simulation_leaves_the_check_of_signatures_on(solana):
    vault, to = solana.vault(ONE), solana.stranger()
    asked = solana.transfer(vault, to, ONE // 2)
    unsigned = solana.chain.build(asked, solana.node.state(vault.key))
    solana.node.simulate(asked, unsigned)
    with pytest.raises(ChainRefusedError, match="SignatureFailure"):
        solana.node.send(solana.forged(unsigned, [bytes(64)]))


@settings(deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_transaction_or_refused(solana, raw):
    with pytest.raises(ChainRefusedError):
        solana.node.send(raw)
