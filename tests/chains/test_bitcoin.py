"""Bitcoin alone: Bitcoin Core's consensus code on regtest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.chains.bitcoin.chain import BitcoinCoin, BitcoinState
from m1cep.custody.chains.bitcoin.encodings import segwit_encode
from m1cep.custody.chains.errors import ChainRefusedError, DestinationRefusedError

ONE = 1_000_000  # satoshi


def test_three_coins_are_spent_with_a_signature_each(bitcoin):
    vault, to = bitcoin.vault(), bitcoin.stranger()
    for _ in range(3):
        bitcoin.node.fund(bitcoin.chain.address(vault.key), ONE)
    bitcoin.node.advance()
    unsigned = bitcoin.chain.build(bitcoin.transfer(vault, to, 2 * ONE + 1), bitcoin.node.state(vault.key))
    assert len({wanted.message for wanted in unsigned.to_sign}) == 3
    signatures = bitcoin.sign(vault, unsigned)
    assert not bitcoin.chain_takes(bitcoin.forged(unsigned, [signatures[1], signatures[0], signatures[2]]))
    bitcoin.node.broadcast(bitcoin.chain.attach(unsigned, signatures))
    bitcoin.node.advance()
    assert bitcoin.has(to) == 2 * ONE + 1
    assert bitcoin.node.balance(vault.key) == ONE - 1 - unsigned.fee


def test_a_lie_about_a_coins_amount_makes_signatures_useless_and_no_fee(bitcoin):
    """Told that its coin is worth less, a signer would leave the rest to the miner: the digest covers the amount."""
    vault, to = bitcoin.vault(5 * ONE), bitcoin.stranger()
    (coin,) = bitcoin.node.state(vault.key).coins
    lie = BitcoinState(coins=(BitcoinCoin(txid=coin.txid, index=coin.index, amount=2 * ONE),), fee_rate=2)
    unsigned = bitcoin.chain.build(bitcoin.transfer(vault, to, ONE), lie)
    payload = bitcoin.forged(unsigned, bitcoin.sign(vault, unsigned))
    assert not bitcoin.chain_takes(payload)
    assert bitcoin.node.balance(vault.key) == 5 * ONE


def test_every_kind_of_address_is_paid(bitcoin):
    chain, vault = bitcoin.chain, bitcoin.vault(10 * ONE)
    kinds = {
        segwit_encode("bcrt", 0, bytes(range(20))): "0014" + bytes(range(20)).hex(),
        segwit_encode("bcrt", 0, bytes(range(32))): "0020" + bytes(range(32)).hex(),
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn": "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac",
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc": "a9144e9f39ca4688ff102128ea4ccda34105324305b087",
    }
    for address, script in kinds.items():
        assert chain.destination_script(address).hex() == script
        bitcoin.release(vault, address, ONE)
        bitcoin.node.advance()
        assert bitcoin.has(address) == ONE


def test_a_reorganisation_takes_back_deposit_and_release(bitcoin):
    vault, to = bitcoin.vault(5 * ONE), bitcoin.stranger()
    done = bitcoin.release(vault, to, ONE)
    bitcoin.node.advance(2)
    assert bitcoin.node.confirmations(done.reference) == 2
    bitcoin.node.reorganise(2)
    assert bitcoin.node.confirmations(done.reference) == 0
    assert bitcoin.has(to) == 0
    assert bitcoin.node.balance(vault.key) == 5 * ONE  # the deposit is deeper than the fork
    bitcoin.node.broadcast(done)  # nothing was lost: it can be sent again
    bitcoin.node.advance()
    assert bitcoin.node.confirmations(done.reference) == 1
    bitcoin.node.reorganise(6)
    assert bitcoin.node.deposits(vault.key) == []
    assert bitcoin.node.balance(vault.key) == 0


def test_a_double_spend_leaves_the_height_unchanged(bitcoin):
    vault, first, second = bitcoin.vault(5 * ONE), bitcoin.stranger(), bitcoin.stranger()
    state = bitcoin.node.state(vault.key)
    one, two = (bitcoin.chain.build(bitcoin.transfer(vault, to, ONE), state) for to in (first, second))
    payloads = [bitcoin.forged(unsigned, bitcoin.sign(vault, unsigned)) for unsigned in (one, two)]
    height = bitcoin.node.height
    assert not bitcoin.node.mine(payloads)  # both in one block
    assert bitcoin.node.height == height
    assert bitcoin.node.mine(payloads[:1])
    assert not bitcoin.node.mine(payloads[1:])
    assert bitcoin.node.height == height + 1


def test_a_second_transaction_for_a_coin_is_not_kept_for_the_next_block(bitcoin):
    vault, to = bitcoin.vault(5 * ONE), bitcoin.stranger()
    second = bitcoin.chain.build(bitcoin.transfer(vault, to, 2 * ONE), bitcoin.node.state(vault.key))
    bitcoin.release(vault, to, ONE)
    with pytest.raises(ChainRefusedError, match="waits for its block"):
        bitcoin.node.broadcast(bitcoin.chain.attach(second, bitcoin.sign(vault, second)))


def test_two_releases_go_into_one_block_when_there_are_coins_for_both(bitcoin):
    vault, first, second = bitcoin.vault(5 * ONE), bitcoin.stranger(), bitcoin.stranger()
    bitcoin.node.fund(bitcoin.chain.address(vault.key), 3 * ONE)
    bitcoin.node.advance()
    done = [bitcoin.release(vault, to, ONE) for to in (first, second)]
    bitcoin.node.advance()
    assert [bitcoin.node.confirmations(one.reference) for one in done] == [1, 1]


def test_what_waits_and_was_overtaken_stops_no_block(bitcoin):
    vault, first, second = bitcoin.vault(5 * ONE), bitcoin.stranger(), bitcoin.stranger()
    state = bitcoin.node.state(vault.key)
    overtaken = bitcoin.release(vault, first, ONE)
    quicker = bitcoin.chain.build(bitcoin.transfer(vault, second, ONE), state)
    assert bitcoin.node.mine([bitcoin.forged(quicker, bitcoin.sign(vault, quicker))])
    bitcoin.node.advance()
    assert bitcoin.node.confirmations(overtaken.reference) == 0
    assert (bitcoin.has(first), bitcoin.has(second)) == (0, ONE)


def test_the_faucet_pays_no_address_of_another_network(bitcoin):
    with pytest.raises(DestinationRefusedError, match="mainnet"):
        bitcoin.node.fund("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ONE)


@settings(deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_transaction_or_refused(bitcoin, raw):
    from m1cep.custody.chains.interface import Signed

    with pytest.raises(ChainRefusedError):
        bitcoin.node.broadcast(Signed(bitcoin.chain.name, raw, "none"))
