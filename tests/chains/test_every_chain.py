"""What holds on every chain: deposits and releases, and what the chain's own software refuses. Vaults sign three of five."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.chains.errors import (
    AmountRefusedError,
    ChainError,
    ChainRefusedError,
    DestinationRefusedError,
    SignatureRefusedError,
    TransferRefusedError,
)
from m1cep.custody.chains.interface import state_from_json, state_to_json


def test_a_deposit_is_seen_once_and_its_confirmations_grow(world):
    vault = world.vault()
    assert world.node.deposits(vault.key) == []
    world.node.fund(world.chain.address(vault.key), world.some)
    world.node.advance()
    (seen,) = world.node.deposits(vault.key)
    assert seen.amount == world.some == world.node.balance(vault.key)
    world.node.advance(3)
    (later,) = world.node.deposits(vault.key)
    assert (later.reference, later.confirmations) == (seen.reference, seen.confirmations + 3)
    world.node.fund(world.chain.address(vault.key), world.some)
    world.node.advance()
    first, second = world.node.deposits(vault.key)
    assert first.reference == seen.reference != second.reference


def test_three_of_five_release_exactly_the_amount_and_the_simulation_said_so(world):
    vault, to = world.vault(5 * world.some), world.stranger()
    transfer = world.transfer(vault, to, 2 * world.some)
    unsigned = world.chain.build(transfer, world.node.state(vault.key))
    said = world.node.simulate(transfer, unsigned)
    done = world.chain.attach(unsigned, world.sign(vault, unsigned))
    assert world.node.confirmations(done.reference) == 0
    world.node.broadcast(done)
    world.node.broadcast(done)  # again does no harm
    world.node.advance(2)
    assert world.node.confirmations(done.reference) in (2, 3)  # where a transaction has a block at once, one more
    assert world.has(to) == said.destination_gains == 2 * world.some
    assert world.node.balance(vault.key) == said.vault_after == 3 * world.some - unsigned.fee
    assert [deposit.amount for deposit in world.node.deposits(vault.key)] == [5 * world.some]  # change is none


def test_everybody_who_builds_gets_the_same_bytes(world):
    vault, to = world.vault(world.some), world.stranger()
    world.node.fund(world.chain.address(vault.key), 2 * world.some)
    world.node.advance()
    state = world.node.state(vault.key)
    transfer = world.transfer(vault, to, world.some)
    assert state_from_json(world.chain, state_to_json(state)) == state
    one = world.chain.build(transfer, state)
    assert world.chain.build(transfer, state_from_json(world.chain, state_to_json(state))) == one
    assert one.chain == world.chain.name


def test_a_tampered_amount_is_refused_by_us_and_by_the_chain(world):
    vault, to = world.vault(5 * world.some), world.stranger()
    state = world.node.state(vault.key)
    asked = world.chain.build(world.transfer(vault, to, world.some), state)
    more = world.chain.build(world.transfer(vault, to, world.some + 1), state)
    signatures = world.sign(vault, asked)
    with pytest.raises(SignatureRefusedError):
        world.chain.attach(more, signatures)
    assert not world.chain_takes(world.forged(more, signatures))
    assert world.has(to) == 0
    assert world.chain_takes(world.forged(asked, signatures))  # so the chain minded the amount, nothing else
    assert world.has(to) == world.some


def test_a_tampered_destination_is_refused_by_us_and_by_the_chain(world):
    vault, to, thief = world.vault(5 * world.some), world.stranger(), world.stranger()
    state = world.node.state(vault.key)
    asked = world.chain.build(world.transfer(vault, to, world.some), state)
    theirs = world.chain.build(world.transfer(vault, thief, world.some), state)
    signatures = world.sign(vault, asked)
    with pytest.raises(SignatureRefusedError):
        world.chain.attach(theirs, signatures)
    assert not world.chain_takes(world.forged(theirs, signatures))
    assert world.has(thief) == 0


@pytest.mark.parametrize("at", [0, 20, 40, 63])
def test_a_signature_with_one_bit_changed_is_refused_by_us_and_by_the_chain(world, at):
    vault, to = world.vault(5 * world.some), world.stranger()
    unsigned = world.chain.build(world.transfer(vault, to, world.some), world.node.state(vault.key))
    good = world.sign(vault, unsigned)
    bad = bytearray(good[0])
    bad[at] ^= 1
    signatures = [bytes(bad), *good[1:]]
    with pytest.raises(SignatureRefusedError):
        world.chain.attach(unsigned, signatures)
    try:
        payload = world.forged(unsigned, signatures)
    except (ValueError, SignatureRefusedError):
        return  # no point on the curve: it cannot even be written down for the chain
    assert not world.chain_takes(payload)
    assert world.has(to) == 0


def test_another_groups_signature_is_refused_by_us_and_by_the_chain(world):
    vault, thief, to = world.vault(5 * world.some), world.vault(), world.stranger()
    unsigned = world.chain.build(world.transfer(vault, to, world.some), world.node.state(vault.key))
    theirs = world.sign(thief, unsigned)
    with pytest.raises(SignatureRefusedError):
        world.chain.attach(unsigned, theirs)
    assert not world.chain_takes(world.forged(unsigned, theirs))
    assert world.has(to) == 0


def test_too_few_signatures_are_refused(world):
    vault = world.vault(5 * world.some)
    unsigned = world.chain.build(world.transfer(vault, world.stranger(), world.some), world.node.state(vault.key))
    with pytest.raises(SignatureRefusedError):
        world.chain.attach(unsigned, world.sign(vault, unsigned)[:-1])


def test_a_release_that_happened_does_not_happen_again(world):
    vault, to = world.vault(5 * world.some), world.stranger()
    done = world.release(vault, to, world.some)
    world.node.advance(5)
    assert not world.chain_takes(done.payload)
    assert world.has(to) == world.some


def test_of_two_releases_from_the_same_facts_one_happens(world):
    vault, first, second = world.vault(5 * world.some), world.stranger(), world.stranger()
    state = world.node.state(vault.key)
    one = world.chain.build(world.transfer(vault, first, world.some), state)
    two = world.chain.build(world.transfer(vault, second, world.some), state)
    assert one.excludes(two)
    payloads = [world.forged(unsigned, world.sign(vault, unsigned)) for unsigned in (one, two)]
    assert [world.chain_takes(payload) for payload in payloads] == [True, False]
    assert (world.has(first), world.has(second)) == (world.some, 0)
    after = world.chain.build(world.transfer(vault, second, world.some), world.node.state(vault.key))
    assert not after.excludes(one)


def test_what_was_signed_for_another_network_is_refused_by_the_chain(world):
    """The same vault, opened and funded on both, the same transfer: only where it was signed for does it happen."""
    vault, to = world.vault(5 * world.some, seed="twice"), world.stranger()
    world.vault(5 * world.some, node=world.other, seed="twice")
    there = world.other.chain.build(world.transfer(vault, to, world.some), world.other.state(vault.key))
    payload = world.forged(there, world.sign(vault, there))
    assert not world.chain_takes(payload)
    assert world.has(to) == 0
    assert world.chain_takes(payload, world.other)


def test_what_is_for_another_chain_is_not_completed_and_not_sent(world):
    vault, to = world.vault(5 * world.some), world.stranger()
    unsigned = world.chain.build(world.transfer(vault, to, world.some), world.node.state(vault.key))
    signatures = world.sign(vault, unsigned)
    with pytest.raises(TransferRefusedError, match="is for elsewhere:1"):
        world.chain.attach(replace(unsigned, chain="elsewhere:1"), signatures)
    with pytest.raises(TransferRefusedError, match="is for elsewhere:1"):
        world.node.broadcast(replace(world.chain.attach(unsigned, signatures), chain="elsewhere:1"))
    assert world.has(to) == 0


def test_a_stale_view_is_refused_before_anybody_signs(world):
    vault, to = world.vault(5 * world.some), world.stranger()
    transfer = world.transfer(vault, to, world.some)
    unsigned = world.chain.build(transfer, world.node.state(vault.key))
    world.release(vault, world.stranger(), world.some)
    world.node.advance()
    with pytest.raises(ChainRefusedError):
        world.node.simulate(transfer, unsigned)


def test_no_transfer_of_more_than_the_vault_has(world):
    vault = world.vault(world.some)
    with pytest.raises(TransferRefusedError, match="needed"):
        world.chain.build(world.transfer(vault, world.stranger(), 2 * world.some), world.node.state(vault.key))


@pytest.mark.parametrize("amount", [0, -1, True, 1.5, 10**40])
def test_no_transfer_of_an_amount_that_is_none(world, amount):
    vault = world.vault(world.some)
    with pytest.raises(AmountRefusedError):
        world.chain.build(world.transfer(vault, world.stranger(), amount), world.node.state(vault.key))


def test_no_transfer_to_the_vault_itself(world):
    vault = world.vault(2 * world.some)
    with pytest.raises(DestinationRefusedError, match="itself"):
        world.chain.build(
            world.transfer(vault, world.chain.address(vault.key), world.some), world.node.state(vault.key)
        )


@pytest.mark.parametrize("key", [b"", bytes(32), bytes(33), b"\x02" + b"\xff" * 32, b"\x05" * 33, bytes(65), b"\x01"])
def test_a_key_that_is_none_has_no_address(world, key):
    with pytest.raises(TransferRefusedError):
        world.chain.address(key)


@settings(deadline=None)
@given(text=st.text(max_size=100))
def test_any_text_is_an_address_or_refused(world, text):
    try:
        canonical = world.chain.destination(text)
    except DestinationRefusedError:
        return
    assert world.chain.destination(canonical) == canonical


@settings(deadline=None)
@given(data=st.data())
def test_an_address_with_one_character_changed_is_another_address_or_refused(world, data):
    """Bech32 and Base58Check notice it, ERC-55 nearly always; a Solana address has no checksum."""
    address = world.chain.destination(world.to)
    at = data.draw(st.integers(0, len(address) - 1))
    changed = address[:at] + data.draw(st.sampled_from("023456789acdefghjklmnpqrstuvwxyz")) + address[at + 1 :]
    try:
        assert world.chain.destination(changed) != address or changed == address
    except DestinationRefusedError:
        return
    if world.chain.name.startswith("bitcoin"):
        assert changed == address


@settings(deadline=None)
@given(
    raw=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["coins", "fee_rate", "nonce", "balance", "nonce_account", "fee", "rent_minimum", "txid"]
                ),
                inner,
                max_size=6,
            )
        ),
    ).map(state_to_json)
)
def test_any_bytes_are_facts_or_refused(world, raw):
    try:
        state = state_from_json(world.chain, raw)
        world.chain.build(world.transfer(world.vault_key, world.to, world.some), state)
    except ChainError:
        return


@pytest.fixture(autouse=True)
def _known_addresses(world):
    if not hasattr(world, "to"):
        world.vault_key, world.to = world.vault(seed="fuzz"), world.stranger()
