"""What is published: it adds up, it proves each balance, and says nothing of who has what or how many they are."""

import copy
import json
import pickle
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liabilitiesworld import EPOCH_MS, Platform, through_json

from m1cep.errors import LedgerError
from m1cep.ledger.liabilities import MOST_AMOUNT, Secret, Sheet, Tree, customer_proof, make_sheet
from m1cep.ledger.liabilities.chunks import MOST_BALANCE
from m1cep.ledger.liabilities.verify_balance import check_leaves, check_proof, check_signed, statement_digest

SECRET = Secret(b"s" * 32)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
AMOUNTS = st.one_of(st.integers(0, 3), st.integers(0, MOST_AMOUNT), st.integers(0, MOST_AMOUNT * 5))


@settings(max_examples=60, deadline=None)
@given(owed=st.dictionaries(NAMES, AMOUNTS, max_size=40), epoch_ms=st.integers(0, 2**62))
def test_every_balance_is_proven_and_the_total_is_their_sum(owed, epoch_ms):
    platform = Platform({"BTC": owed}, epoch_ms=epoch_ms)
    statement = check_signed(through_json(platform.signed), platform.key)
    assert statement["assets"]["BTC"]["total"] == str(sum(owed.values()))
    check_leaves(statement, "BTC", platform.sheets["BTC"].encode())
    for user, units in owed.items():
        assert check_proof(platform.proof(user), user, platform.key)[1] == {"BTC": units}


@given(owed=st.dictionaries(NAMES, AMOUNTS, min_size=1, max_size=20), dice=st.randoms())
def test_what_is_published_does_not_depend_on_the_order_of_customers(owed, dice):
    shuffled = list(owed.items())
    dice.shuffle(shuffled)
    assert make_sheet(SECRET, 1, "BTC", owed.items()) == make_sheet(SECRET, 1, "BTC", shuffled)


def test_the_largest_balance_that_a_leaf_holds_and_more_are_proven_in_leaves_that_say_nothing_of_it():
    owed = {"ann": MOST_AMOUNT, "bob": 10 * MOST_AMOUNT + 3, "😀" * 200: 5}
    platform = Platform({"SHIB": owed})
    for user, units in owed.items():
        assert check_proof(platform.proof(user), user, platform.key)[1] == {"SHIB": units}
    pieces_of_bob = [int(one["amount"]) for one in platform.proof("bob")["assets"]["SHIB"]["chunks"]]
    assert len(set(pieces_of_bob)) == len(pieces_of_bob) >= 22


class TestPrivacy:
    SHEET = make_sheet(SECRET, 1, "BTC", [(f"customer-{n}", 1_000_000 + n) for n in range(300)])

    def test_no_leaf_is_one_of_another_epoch_asset_or_secret(self):
        owed = [(f"customer-{n}", 1_000_000 + n) for n in range(300)]
        others = (make_sheet(SECRET, 2, "BTC", owed), make_sheet(SECRET, 1, "USD", owed))
        for other in (*others, make_sheet(Secret(b"t" * 32), 1, "BTC", owed)):
            assert not set(other.commitments) & set(self.SHEET.commitments)

    def test_no_two_leaves_say_that_they_are_of_one_customer(self):
        assert len(set(self.SHEET.commitments)) == len(self.SHEET.commitments)

    def test_how_many_customers_there_are_is_not_said(self):
        assert len(self.SHEET.amounts) == 1024
        assert make_sheet(SECRET, 1, "BTC", []).amounts == [0] * 16
        assert 0 in make_sheet(SECRET, 1, "BTC", [(str(n), 5) for n in range(16)]).amounts

    def test_balances_are_in_pieces_that_do_not_stand_side_by_side(self):
        whole = {1_000_000 + n for n in range(300)}
        assert not whole & set(self.SHEET.amounts)
        assert len(whole & {a + b for a, b in pairwise(self.SHEET.amounts)}) < 5

    def test_a_customer_s_proof_shows_nobody_else(self):
        platform = Platform({"BTC": {"ann": 100, "bob": 60}})
        text = json.dumps(platform.proof("ann"))
        assert "bob" not in text
        assert platform.secret.salt("bob", EPOCH_MS).hex() not in text

    def test_the_secret_is_shown_copied_and_kept_by_nobody(self):
        assert "s" * 32 not in repr(SECRET)
        assert (b"s" * 32).hex() not in repr(SECRET)
        for leak in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                leak(SECRET)


class TestRefused:
    @pytest.mark.parametrize(
        ("owed", "code"),
        [
            ([("ann", -1)], "negative_balance"),
            ([("ann", MOST_BALANCE + 1)], "overflow"),
            ([("ann", 1), ("ann", 1)], "customer_twice"),
            ([("", 1)], "bad_customer"),
            ([("a\nb", 1)], "bad_customer"),
            ([("x" * 801, 1)], "bad_customer"),
        ],
    )
    def test_a_balance_that_cannot_be_proven(self, owed, code):
        with pytest.raises(LedgerError) as caught:
            make_sheet(SECRET, 1, "BTC", owed)
        assert caught.value.code == code

    def test_leaves_that_no_tree_stands_on(self):
        data = make_sheet(SECRET, 1, "BTC", [("ann", 1)]).encode()
        assert Tree(Sheet.decode(1, "BTC", data)).total == 1
        for damaged in (b"", data[:-1]):
            with pytest.raises(LedgerError, match="bad_leaves"):
                Sheet.decode(1, "BTC", damaged)
        for damaged in (data[:-44], data[44:88] + data[44:]):
            with pytest.raises(LedgerError, match="bad_leaves"):
                Tree(Sheet.decode(1, "BTC", damaged))

    def test_a_short_secret_and_a_customer_who_is_not_there(self):
        with pytest.raises(LedgerError, match="bad_secret"):
            Secret(b"short")
        platform = Platform({"BTC": {"ann": 1}})
        with pytest.raises(LedgerError, match="unknown_customer"):
            customer_proof(platform.secret, "eve", platform.signed, platform.sheets, platform.trees)


def test_each_statement_names_the_one_before():
    first = Platform({"BTC": {"ann": 1}})
    second = Platform({"BTC": {"ann": 2}}, epoch_ms=EPOCH_MS + 1, previous=statement_digest(first.statement))
    assert second.statement["previous"] == statement_digest(first.statement).hex()
    assert first.statement["previous"] == ""


@pytest.mark.parametrize("scheme", ["ed25519", "bip340"])
def test_the_key_of_a_group_signs_statement_and_reserves(scheme):
    """Three of five hold it; nobody has it whole."""
    pytest.importorskip("nacl")
    pytest.importorskip("coincurve")
    from frostworld import dealt, seeded, signed

    from m1cep.custody.frost import ED25519, TAPROOT
    from m1cep.ledger.liabilities import Holding, Signer, reserves_document
    from m1cep.ledger.liabilities.verify_balance import base58, check_reserves, taproot_address

    random = seeded(scheme)
    shares = dealt({"ed25519": ED25519, "bip340": TAPROOT}[scheme], 3, (1, 2, 3, 4, 5), random)
    key = shares[1].public.group[-32:]  # of BIP340 the x alone
    group = Signer(scheme, key, lambda message: signed(shares, (1, 3, 5), message, random)[-64:])
    platform = Platform({"BTC": {"ann": 100}}, signer=group)
    assert check_proof(platform.proof("ann"), "ann", key.hex())[1] == {"BTC": 100}
    chain, address = {
        "ed25519": ("solana:localnet", base58(key)),
        "bip340": ("bitcoin:regtest", taproot_address("bcrt", key)),
    }[scheme]
    reserves = reserves_document(platform.statement, [Holding(chain, "BTC", address, 100, 1, group)])
    assert check_reserves(platform.statement, through_json(reserves)) == {"BTC": 100}
