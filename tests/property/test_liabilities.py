"""Proofs that were changed anywhere: the customer's verifier says so or finds the same balances, and never falls over."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from liabilitiesworld import Platform

from m1cep.ledger.liabilities.verify_balance import Untrue, check_proof

PLATFORM = Platform({"BTC": {"ann": 100, "bob": 60, "eve": 7}, "USD": {"ann": 12_345, "bob": 1}})
TRUE = {user: check_proof(PLATFORM.proof(user), user, PLATFORM.key)[1] for user in ("ann", "bob")}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70) | st.just("0" * 64),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value, way=()):
    """The ways to everything in a JSON value."""
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*way, name))


def at(value, way):
    for name in way:
        value = value[name]
    return value


def checked(document, user):
    """What a customer is told; None: that it is not true, or no text (which the program says, too)."""
    try:
        return check_proof(document, user, PLATFORM.key)[1]
    except (Untrue, UnicodeEncodeError):
        return None


@settings(max_examples=400, deadline=None)
@given(data=st.data(), user=st.sampled_from(sorted(TRUE)))
def test_whatever_is_put_anywhere_proves_no_other_balance(data, user):
    proof = PLATFORM.proof(user)
    *way, last = data.draw(st.sampled_from([one for one in places(proof) if one]))
    inside = at(proof, way)
    before = inside[last]
    near = [before + 1, before - 1] if isinstance(before, int) else []
    if isinstance(before, str) and before.isdigit():
        near = [
            str(int(before) + 1),
            f"-{before}",
            f"0{before}",
            f" {before}",
            str(int(before) + 2**96),
            str(int(before) + 2**128),
        ]
    inside[last] = data.draw(st.sampled_from(near) | JSON if near else JSON)
    found = checked(proof, user)
    # An asset may be taken out of a proof, which then says nothing of it; nothing else can be said of one.
    assert found is None or found.items() <= TRUE[user].items()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_parts_of_other_proofs_prove_nothing_of_this_customer(data):
    mine, other = PLATFORM.proof("ann"), PLATFORM.proof("bob")
    way = data.draw(st.sampled_from([one for one in places(other) if one]))
    source = data.draw(st.sampled_from([one for one in places(other) if one]))
    try:
        at(mine, way[:-1])[way[-1]] = copy.deepcopy(at(other, source))
    except (LookupError, TypeError):
        return  # Ann's proof has no such place
    found = checked(mine, "ann")
    assert found is None or found.items() <= TRUE["ann"].items()
