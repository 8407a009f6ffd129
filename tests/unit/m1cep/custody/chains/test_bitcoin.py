"""Bitcoin addresses by the published examples of BIP 173, 341 and 350, and transactions that add up."""

import pytest
from frostworld import dealt, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.chains.bitcoin.chain import MAINNET, REGTEST, TESTNET, BitcoinChain, BitcoinCoin, BitcoinState
from m1cep.custody.chains.bitcoin.taproot import output_key
from m1cep.custody.chains.bitcoin.transaction import virtual_size, with_witnesses
from m1cep.custody.chains.errors import DestinationRefusedError, TransferRefusedError
from m1cep.custody.chains.interface import Transfer
from m1cep.custody.frost import TAPROOT
from m1cep.custody.frost.taproot import tweak_public

# BIP 341, wallet-test-vectors: internal key, output key without scripts, its address.
INTERNAL = bytes.fromhex("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d")
OUTPUT = "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343"
ADDRESS = "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5"
KEY = b"\x02" + INTERNAL


def test_the_output_key_and_its_address_are_those_published():
    assert output_key(KEY).hex() == output_key(b"\x03" + INTERNAL).hex() == OUTPUT
    assert BitcoinChain(MAINNET).address(KEY) == ADDRESS
    assert BitcoinChain(MAINNET).destination_script(ADDRESS).hex() == "5120" + OUTPUT


@pytest.mark.parametrize("seed", range(4))  # among them keys with odd and with even y
def test_signers_and_address_agree_on_the_output_key(seed):
    public = dealt(TAPROOT, 2, (1, 2, 3), seeded(seed))[1].public
    assert tweak_public(public).group[1:] == output_key(public.group)


@pytest.mark.parametrize(
    ("network", "address", "script"),
    [
        (MAINNET, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (
            TESTNET,
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            MAINNET,
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
        (MAINNET, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
        (MAINNET, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87"),
    ],
)
def test_published_addresses_are_paid_by_their_scripts(network, address, script):
    assert BitcoinChain(network).destination_script(address).hex() == script


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "testnet; this vault is on mainnet"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "testnet or regtest; this vault is on mainnet"),
        ("bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "not Bech32"),
        ("BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "no witness program"),
        ("bc1pw5dgrnzv", "no witness program"),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", "no witness program"),
        ("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "no witness program"),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", "wrong padding"),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "wrong checksum"),
        ("bc1P2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5", "mixed"),
        ("bc1gmk9yu", "not Bech32"),
        ("BC1SW50QGDZ25J", "nobody can spend from yet"),  # version 16
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "wrong checksum"),
        ("5Hwgr3u458GLafKBgxtssHSPqJnYoGrSzgQsPwLFhLNYskDPyyA", "no address of Bitcoin"),  # a private key
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "not Base58"),
        ("", "not Base58"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(address, why):
    with pytest.raises(DestinationRefusedError, match=why):
        BitcoinChain(MAINNET).destination(address)


def test_an_address_in_capitals_is_the_same_in_small_letters():
    assert BitcoinChain(MAINNET).destination(ADDRESS.upper()) == ADDRESS


coins = st.lists(
    st.builds(
        BitcoinCoin,
        txid=st.binary(min_size=32, max_size=32).map(bytes.hex),
        index=st.integers(0, 5),
        amount=st.sampled_from([1000, 10**6, 10**8]) | st.integers(1, 10**9),
    ),
    max_size=12,
    unique_by=lambda coin: (coin.txid, coin.index),
)


@settings(deadline=None)
@given(coins=coins, amount=st.integers(1, 10**9), rate=st.integers(1, 300), data=st.data())
def test_what_goes_in_is_the_amount_the_change_and_the_fee(coins, amount, rate, data):
    chain = BitcoinChain(REGTEST)
    to = chain.address(b"\x02" + bytes.fromhex(OUTPUT))
    transfer, state = Transfer(KEY, to, amount), BitcoinState(coins=tuple(coins), fee_rate=rate)
    try:
        unsigned = chain.build(transfer, state)
    except TransferRefusedError as error:
        _justified(str(error), transfer, state)
        return
    shuffled = BitcoinState(coins=tuple(data.draw(st.permutations(coins))), fee_rate=rate)
    assert chain.build(transfer, shuffled) == unsigned
    spent = {name: coin.amount for coin in coins if (name := f"{coin.txid}:{coin.index}") in unsigned.consumes}
    assert len(spent) == len(unsigned.to_sign)
    outputs = _outputs(unsigned.body)
    assert outputs[0] == (amount, chain.destination_script(to))
    assert all(one == (one[0], chain.script(KEY)) and one[0] >= 330 for one in outputs[1:])
    assert sum(spent.values()) == sum(paid for paid, _ in outputs) + unsigned.fee
    size = _vbytes(unsigned.body, with_witnesses(unsigned.body, [[bytes(64)]] * len(spent)))
    assert size == virtual_size(len(spent), [script for _, script in outputs])
    spare = 0 if len(outputs) == 2 else 330 + rate * 43  # what change would have been too small, or cost to make
    assert rate * size <= unsigned.fee < rate * size + max(spare, 1)


def _justified(reason: str, transfer: Transfer, state: BitcoinState) -> None:
    """Whether what was refused could not be built."""
    chain, amount = BitcoinChain(REGTEST, most_fee=10**9), transfer.amount
    if "dust" in reason:
        assert amount < 330
    elif "limit" in reason:
        assert chain.build(transfer, state).fee > BitcoinChain(REGTEST).most_fee
    else:
        largest = sorted((coin.amount for coin in state.coins), reverse=True)
        pay = chain.destination_script(transfer.destination)
        for count in range(1, len(largest) + 1):
            assert sum(largest[:count]) < amount + state.fee_rate * virtual_size(count, [pay])


def test_a_fee_above_the_signers_limit_is_refused():
    state = BitcoinState(coins=(BitcoinCoin(txid="00" * 32, index=0, amount=10**8),), fee_rate=1000)
    transfer = Transfer(KEY, BitcoinChain(REGTEST).address(b"\x02" + bytes.fromhex(OUTPUT)), 10**6)
    with pytest.raises(TransferRefusedError, match="the limit is 100000"):
        BitcoinChain(REGTEST).build(transfer, state)
    assert BitcoinChain(REGTEST, most_fee=200_000).build(transfer, state).fee == 154_000


@pytest.mark.parametrize(("left", "outputs"), [(329, 1), (330, 2)])
def test_change_that_would_be_dust_goes_to_the_fee(left, outputs):
    to = BitcoinChain(REGTEST).address(b"\x02" + bytes.fromhex(OUTPUT))
    fee = virtual_size(1, [b"\x51\x20" + bytes(32)] * 2)
    coin = BitcoinCoin(txid="00" * 32, index=0, amount=10**6 + fee + left)
    unsigned = BitcoinChain(REGTEST).build(Transfer(KEY, to, 10**6), BitcoinState(coins=(coin,), fee_rate=1))
    assert len(_outputs(unsigned.body)) == outputs
    assert unsigned.fee == (fee if outputs == 2 else fee + left)


def test_dust_is_refused():
    state = BitcoinState(coins=(BitcoinCoin(txid="00" * 32, index=0, amount=10**8),), fee_rate=1)
    to = BitcoinChain(REGTEST).address(b"\x02" + bytes.fromhex(OUTPUT))
    with pytest.raises(TransferRefusedError, match="dust: nodes relay 330"):
        BitcoinChain(REGTEST).build(Transfer(KEY, to, 329), state)
    assert BitcoinChain(REGTEST).build(Transfer(KEY, to, 330), state).fee > 0


def test_a_coin_named_twice_is_refused():
    coin = BitcoinCoin(txid="00" * 32, index=0, amount=10**8)
    to = BitcoinChain(REGTEST).address(b"\x02" + bytes.fromhex(OUTPUT))
    with pytest.raises(TransferRefusedError, match="twice"):
        BitcoinChain(REGTEST).build(Transfer(KEY, to, 10**8 + 1), BitcoinState(coins=(coin, coin), fee_rate=1))


def _outputs(body: bytes) -> list[tuple[int, bytes]]:
    """Read back, with fewer than 253 of everything."""
    at = 5 + 41 * body[4]
    count, at = body[at], at + 1
    found = []
    for _ in range(count):
        size = body[at + 8]
        found.append((int.from_bytes(body[at : at + 8], "little"), body[at + 9 : at + 9 + size]))
        at += 9 + size
    assert body[at:] == bytes(4)
    return found


def _vbytes(body: bytes, signed: bytes) -> int:
    return -(-(3 * len(body) + len(signed)) // 4)
