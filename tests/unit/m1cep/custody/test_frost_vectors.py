"""The published vectors, byte for byte: the Zcash Foundation's, of which those of Ed25519 and secp256k1 are RFC 9591's."""

from __future__ import annotations

import pytest
from frostworld import SUITES, Given, published

from m1cep.custody.frost.binding import binding_factor_inputs, compute_binding_factors
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.recovery import secret_share_combine
from m1cep.custody.frost.sharing import polynomial_evaluate, sum_of
from m1cep.custody.frost.signing import (
    aggregate,
    commit,
    sign,
    verify_signature_share,
)


@pytest.fixture(params=SUITES)
def name(request):
    return request.param


@pytest.fixture
def suite(name):
    return SUITES[name]


@pytest.fixture
def vector(name):
    return published(f"{name}-vectors")


@pytest.fixture
def shares(suite, vector):
    inputs = vector["inputs"]
    secrets = {one["identifier"]: bytes.fromhex(one["participant_share"]) for one in inputs["participant_shares"]}
    public = PublicKeys(
        suite=suite,
        epoch=0,
        threshold=int(vector["config"]["MIN_PARTICIPANTS"]),
        group=bytes.fromhex(inputs["verifying_key_key"]),
        shares={identifier: suite.base_mul(secret) for identifier, secret in secrets.items()},
    )
    return {identifier: KeyShare(identifier, Secret(secret), public) for identifier, secret in secrets.items()}


def rounds_one(vector, shares):
    for one in vector["round_one_outputs"]["outputs"]:
        given = [bytes.fromhex(one[f"{kind}_nonce_randomness"]) for kind in ("hiding", "binding")]
        yield one, commit(shares[one["identifier"]], Given(given))


def test_shares_are_values_of_the_polynomial(suite, vector, shares):
    inputs = vector["inputs"]
    terms = [inputs["group_secret_key"], *inputs["share_polynomial_coefficients"]]
    coefficients = [bytes.fromhex(term) for term in terms]
    assert suite.base_mul(coefficients[0]) == shares[1].public.group
    for identifier, share in shares.items():
        assert polynomial_evaluate(suite, identifier, coefficients) == share.secret.reveal()
    shares[1].public.check()


def test_round_one_gives_the_published_nonces_commitments_and_binding_factors(suite, vector, shares):
    message, group = bytes.fromhex(vector["inputs"]["message"]), shares[1].public.group
    rounds = list(rounds_one(vector, shares))
    commitments = [commitment for _, (_, commitment) in rounds]
    inputs = binding_factor_inputs(suite, group, commitments, message)
    factors = compute_binding_factors(suite, group, commitments, message)
    for expected, (nonces, commitment) in rounds:
        hiding, binding = nonces.take()
        identifier = expected["identifier"]
        assert hiding.reveal().hex() == expected["hiding_nonce"]
        assert binding.reveal().hex() == expected["binding_nonce"]
        assert commitment.hiding.hex() == expected["hiding_nonce_commitment"]
        assert commitment.binding.hex() == expected["binding_nonce_commitment"]
        assert inputs[identifier].hex() == expected["binding_factor_input"]
        assert factors[identifier].hex() == expected["binding_factor"]


def test_round_two_gives_the_published_shares_and_signature(vector, shares):
    message, public = bytes.fromhex(vector["inputs"]["message"]), shares[1].public
    nonces = {one["identifier"]: made for one, (made, _) in rounds_one(vector, shares)}
    commitments = [made.commitment for made in nonces.values()]
    answers = [sign(shares[identifier], made, message, commitments) for identifier, made in nonces.items()]
    expected = vector["round_two_outputs"]["outputs"]
    assert [(one.identifier, one.response.hex()) for one in answers] == [
        (one["identifier"], one["sig_share"]) for one in expected
    ]
    assert all(verify_signature_share(public, one, message, commitments) for one in answers)
    assert aggregate(public, message, commitments, answers).hex() == vector["final_output"]["sig"]


def test_two_shares_give_the_published_key(vector, shares):
    for pair in ((1, 2), (1, 3), (3, 2)):
        key = secret_share_combine([shares[identifier] for identifier in pair])
        assert key.reveal().hex() == vector["inputs"]["group_secret_key"]


def test_repair_adds_up_to_the_published_sums(name, suite):
    figures = published(f"{name}-repair-share")
    for group, prefix, count in (("scalar_generation", "random_scalar", 3), ("sigma_generation", "sigma", 4)):
        parts = [bytes.fromhex(figures[group][f"{prefix}_{i}"]) for i in range(1, count + 1)]
        assert sum_of(suite, parts).hex() == figures[group][f"{prefix}_sum"]
