"""The EVM alone: our vault contract and Safe 1.4.1, on py-evm."""

import subprocess
import sys

import chainworlds
import compile_vault
import pytest
from chainworlds import NOW_S, ecdsa
from frostworld import seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.chains.errors import (
    ChainRefusedError,
    DestinationRefusedError,
    SignatureRefusedError,
    TransferRefusedError,
)
from m1cep.custody.chains.evm.common import create2
from m1cep.custody.chains.evm.safe import PROXY_FACTORY, SAFE_L2, SINGLETON_FACTORY, SafeChain, execution, safe_key
from m1cep.custody.chains.evm.vault import DEPLOYER, EvmChain, release
from m1cep.custody.chains.interface import Transfer, state_from_json, state_to_json
from m1cep.custody.frost import SECP256K1
from m1cep.ledger.liabilities.verify_balance import safe_address
from streams.chains.evm import EvmMachine, LocalEvm, LocalSafe

ONE = 10**18  # wei
REVERTS = bytes.fromhex("625f5ffd5f526003601df3")  # makes a contract that takes nothing


@pytest.fixture(scope="module")
def safe(safe_code):
    return chainworlds.safe(safe_code)


def test_the_code_in_the_repository_is_what_the_source_compiles_to():
    written = (compile_vault.EVM / "vault_code.py").read_text(encoding="utf-8")
    assert written == compile_vault.vault_code(), "run: python tests/compile_vault.py"


def test_a_record_nested_deep_is_still_refused_in_a_process_that_runs_a_chain():
    """py-evm raises Python's recursion limit, by which decoders know when to stop; without it the process would crash."""
    code = """
import sys
from streams.chains.local import open_local
from streams.files import load_streams
node = open_local("evm")
node.fund("0x" + "11" * 20, 5)
node.advance()
deep = b'{"event_id": "e", "account": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
rows, errors, _ = load_streams()["orders"].decode_many([deep])
assert not rows and len(errors) == 1
print(sys.getrecursionlimit())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1000"), done.stderr[-2000:]


def test_keys_of_both_parities_verify(evm):
    """ecrecover is told the parity of the key."""
    parities = set()
    for seed in range(6):
        vault, to = evm.vault(ONE, seed=("parity", seed)), evm.stranger()
        parities.add(vault.key[0])
        evm.release(vault, to, ONE)
        assert evm.has(to) == ONE
    assert parities == {2, 3}


def test_both_parities_of_the_commitment_verify(evm):
    vault, parities = evm.vault(8 * ONE), set()
    for _ in range(8):
        to = evm.stranger()
        unsigned = evm.chain.build(evm.transfer(vault, to, ONE), evm.node.state(vault.key))
        signatures = evm.sign(vault, unsigned)
        parities.add(signatures[0][0])
        evm.node.broadcast(evm.chain.attach(unsigned, signatures))
        assert evm.has(to) == ONE
    assert parities == {2, 3}


def test_the_contracts_deadline_is_inclusive_and_then_over():
    """
    now      600     601
    deadline  600     600
              paid    refused
    """
    now = [NOW_S]
    world = chainworlds.World(LocalEvm(EvmMachine(1, lambda: now[0])), None, ONE)
    vault, to = world.vault(5 * ONE), world.stranger()
    asked = Transfer(vault.key, to, ONE, NOW_S + 600)
    first = world.chain.build(asked, world.node.state(vault.key))
    now[0] = NOW_S + 600
    world.node.send(world.forged(first, world.sign(vault, first)))
    assert world.has(to) == ONE
    second = world.chain.build(asked, world.node.state(vault.key))
    now[0] = NOW_S + 601
    with pytest.raises(ChainRefusedError, match="deadline"):
        world.node.simulate(asked, second)
    with pytest.raises(ChainRefusedError, match="deadline"):
        world.node.send(world.forged(second, world.sign(vault, second)))
    assert world.has(to) == ONE


def test_a_release_needs_a_deadline(evm):
    vault, to = evm.vault(ONE), evm.stranger()
    for deadline_s in (0, -1, 2**64):
        with pytest.raises(TransferRefusedError, match="deadline"):
            evm.chain.build(Transfer(vault.key, to, ONE, deadline_s), evm.node.state(vault.key))


def test_a_later_number_cannot_be_used_before_its_turn(evm):
    """Told a number to come, signers give what is worth nothing now; so they sign one set of contents a request only."""
    vault, to = evm.vault(5 * ONE), evm.stranger()
    state = evm.node.state(vault.key)
    now, later = (
        evm.chain.build(evm.transfer(vault, to, ONE), type(state)(nonce=state.nonce + ahead, balance=state.balance))
        for ahead in (0, 1)
    )
    assert not now.excludes(later)
    payload = evm.forged(later, evm.sign(vault, later))
    assert not evm.chain_takes(payload)
    assert evm.chain_takes(evm.forged(now, evm.sign(vault, now)))
    assert evm.chain_takes(payload)


def test_money_that_came_before_the_contract_was_made_is_a_deposit(evm):
    group = chainworlds.Group(evm.chain.scheme, "early")
    evm.node.fund(evm.chain.address(group.key), ONE)
    assert evm.node.deposits(group.key) == []
    evm.node.open_vault(group.key)
    assert [deposit.amount for deposit in evm.node.deposits(group.key)] == [ONE]
    evm.node.fund(evm.chain.address(group.key), 2 * ONE)
    assert [deposit.amount for deposit in evm.node.deposits(group.key)] == [ONE, 2 * ONE]


def test_facts_hold_more_wei_than_fit_64_bits(evm):
    vault = evm.vault(1000 * ONE)
    state = state_from_json(evm.chain, state_to_json(evm.node.state(vault.key)))
    assert state.balance == 1000 * ONE
    evm.release(vault, evm.stranger(), 999 * ONE)


def test_a_vault_that_is_not_open_has_no_facts(evm):
    group = chainworlds.Group(evm.chain.scheme, "never opened")
    with pytest.raises(ChainRefusedError, match="open it first"):
        evm.node.state(group.key)


def test_the_address_is_the_same_on_every_chain_and_the_digest_is_not(evm):
    vault, to = evm.vault(ONE), evm.stranger()
    state, asked = evm.node.state(vault.key), evm.transfer(vault, to, ONE)
    other = EvmChain(2)
    assert other.address(vault.key) == evm.chain.address(vault.key)
    assert other.build(asked, state).to_sign != evm.chain.build(asked, state).to_sign


def test_a_recipient_that_takes_nothing_is_found_before_anybody_signs(evm):
    vault = evm.vault(5 * ONE)
    evm.node.machine.send(DEPLOYER, bytes(32) + REVERTS)
    to = create2(DEPLOYER, bytes(32), REVERTS)
    assert evm.node.machine.has_code(to)
    asked = evm.transfer(vault, to, ONE)
    unsigned = evm.chain.build(asked, evm.node.state(vault.key))
    with pytest.raises(ChainRefusedError):
        evm.node.simulate(asked, unsigned)
    assert not evm.chain_takes(evm.forged(unsigned, evm.sign(vault, unsigned)))
    assert evm.node.state(vault.key).nonce == 0


@pytest.mark.parametrize(
    ("r", "z"),
    [
        ((0, 0), 1),
        ((1, 1), 1),  # not on the curve
        ((2**256 - 1, 2**256 - 1), 1),
        (None, 0),
        (None, SECP256K1.order),
        (None, 2**256 - 1),
    ],
)
def test_the_contract_refuses_what_is_no_signature_at_all(evm, r, z):
    vault, to = evm.vault(ONE), evm.stranger()
    unsigned = evm.chain.build(evm.transfer(vault, to, ONE), evm.node.state(vault.key))
    payload = release(unsigned.body, evm.sign(vault, unsigned)[0])
    if r is not None:
        payload = payload[:-96] + b"".join(number.to_bytes(32, "big") for number in r) + payload[-32:]
    with pytest.raises(ChainRefusedError, match="signature"):
        evm.node.send(payload[:-32] + z.to_bytes(32, "big"))


@settings(deadline=None)
@given(address=st.sampled_from(["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]), at=st.integers(2, 41))
def test_a_letter_in_the_wrong_case_is_a_wrong_checksum(address, at):
    """The address is an example of ERC-55."""
    chain = EvmChain(1)
    assert chain.destination(address) == chain.destination(address.lower()) == address
    changed = address[:at] + address[at].swapcase() + address[at + 1 :]
    if changed != address:
        with pytest.raises(DestinationRefusedError, match="checksum"):
            chain.destination(changed)


@pytest.mark.parametrize("address", ["0x" + "00" * 20, "0x" + "00" * 19 + "01", "0x" + "00" * 18 + "0100"])
def test_nobodys_addresses_are_refused(address):
    with pytest.raises(DestinationRefusedError, match="nobody's"):
        EvmChain(1).destination(address)


@pytest.mark.parametrize(("threshold", "owners"), [(1, 1), (2, 3), (50, 50)])
def test_a_safes_address_is_what_the_verifier_for_everybody_makes_of_its_owners(safe_code, threshold, owners):
    key = safe_key(["0x" + f"{n:02x}" * 20 for n in range(1, owners + 1)], threshold)
    assert safe_address(key) == SafeChain(1, safe_code["proxy"]).address(key)


def test_the_safes_contracts_are_the_ones_of_every_chain(safe_code):
    for name, address in (("safe", SAFE_L2), ("factory", PROXY_FACTORY)):
        assert create2(SINGLETON_FACTORY, bytes(32), safe_code[name]) == address
    with pytest.raises(ChainRefusedError, match="not what is at"):
        LocalSafe(EvmMachine(1, lambda: NOW_S), safe_code | {"safe": safe_code["safe"] + b"\0"})
    with pytest.raises(TransferRefusedError, match="proxy"):
        SafeChain(1, safe_code["proxy"] + b"\0")


def test_two_of_three_needed_owners_move_nothing(safe):
    vault, to = safe.vault(5 * ONE), safe.stranger()
    unsigned = safe.chain.build(safe.transfer(vault, to, ONE), safe.node.state(vault.key))
    one, two, three = safe.sign(vault, unsigned)
    for signatures in ([one, two], [one, two, two]):
        with pytest.raises(SignatureRefusedError, match="3 owners must sign, 2 have"):
            safe.chain.attach(unsigned, signatures)
        assert not safe.chain_takes(safe.forged(unsigned, signatures))
    assert safe.chain_takes(safe.forged(unsigned, [two, three, one]))


def test_more_owners_than_needed_do_no_harm(safe):
    vault, to = safe.vault(5 * ONE), safe.stranger()
    unsigned = safe.chain.build(safe.transfer(vault, to, ONE), safe.node.state(vault.key))
    everybody = [ecdsa(key, unsigned.to_sign[0].message) for key in vault.keys]
    safe.node.broadcast(safe.chain.attach(unsigned, everybody))
    assert safe.has(to) == ONE


def test_a_stranger_among_the_owners_is_refused(safe):
    vault, to = safe.vault(5 * ONE), safe.stranger()
    unsigned = safe.chain.build(safe.transfer(vault, to, ONE), safe.node.state(vault.key))
    stranger = chainworlds.Owners("strangers")
    mixed = [*safe.sign(vault, unsigned)[:2], ecdsa(stranger.keys[0], unsigned.to_sign[0].message)]
    with pytest.raises(SignatureRefusedError, match=stranger.addresses[0]):
        safe.chain.attach(unsigned, mixed)
    assert not safe.chain_takes(safe.forged(unsigned, mixed))


@pytest.mark.parametrize("threshold", [0, 6])
def test_a_safe_needs_a_threshold_that_its_owners_can_reach(threshold):
    with pytest.raises(TransferRefusedError):
        safe_key(chainworlds.Owners("x").addresses, threshold)


def test_a_safe_has_every_owner_once():
    owners = chainworlds.Owners("x").addresses
    with pytest.raises(TransferRefusedError):
        safe_key([owners[0], owners[0].lower()], 1)


@settings(max_examples=50, deadline=None)
@given(signature=st.binary(max_size=70))
def test_any_bytes_are_an_owners_signature_or_refused(safe, signature):
    vault = chainworlds.Owners("x")
    state = type(safe.node.state(safe.vault(seed="facts").key))(nonce=0, balance=ONE)
    unsigned = safe.chain.build(safe.transfer(vault, safe.chain.address(safe.vault(seed="to").key), ONE), state)
    with pytest.raises(SignatureRefusedError):
        safe.chain.attach(unsigned, [signature])


def test_a_release_is_confirmed_whoever_brought_it(evm):
    vault, to = evm.vault(ONE), evm.stranger()
    unsigned = evm.chain.build(evm.transfer(vault, to, ONE), evm.node.state(vault.key))
    done = evm.chain.attach(unsigned, evm.sign(vault, unsigned))
    evm.node.send(done.payload)
    assert evm.node.confirmations(done.reference) == 1


def test_random_bytes_for_a_safes_signatures_move_nothing(safe):
    vault, to, random = safe.vault(ONE), safe.stranger(), seeded("noise")
    address = safe.chain.address(vault.key)
    for size in (0, 64, 65, 195, 300):
        assert not safe.chain_takes(execution(address, to, ONE, random(size)))
    assert safe.has(to) == 0
