"""Against @noble/curves: they verify ours, we verify theirs, and both sign one signature together."""

from __future__ import annotations

from itertools import combinations

import pytest
from frostworld import SUITES, committed, dealt, seeded, signed

from m1cep.custody.frost import ED25519, TAPROOT, taproot
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.proof import prove_possession, verify_possession
from m1cep.custody.frost.recovery import secret_share_combine
from m1cep.custody.frost.sharing import vss_commit
from m1cep.custody.frost.signing import Commitment, SignatureShare, aggregate, sign, verify_signature_share
from noble.node import Missing, Noble

MESSAGE = bytes(range(32))


@pytest.fixture(scope="module")
def noble():
    try:
        running = Noble()
    except Missing as missing:
        pytest.skip(str(missing))
    yield running
    running.close()


@pytest.fixture(params=SUITES)
def name(request):
    return request.param


@pytest.fixture
def suite(name):
    return SUITES[name]


def theirs(suite, number):
    """A signer's identifier as they write it."""
    return suite.scalar(number).hex()


def numbered(suite, identifier):
    return int.from_bytes(bytes.fromhex(identifier), "little" if suite is ED25519 else "big")


def their_key(suite, dealt):
    """A key that they dealt, as ours."""
    shares = {numbered(suite, one): bytes.fromhex(point) for one, point in dealt["public"]["verifyingShares"].items()}
    group = bytes.fromhex(dealt["public"]["commitments"][0])
    public = PublicKeys(suite, 0, dealt["public"]["signers"]["min"], group, shares)
    secrets = {numbered(suite, one): bytes.fromhex(s["signingShare"]) for one, s in dealt["secretShares"].items()}
    return {number: KeyShare(number, Secret(secret), public) for number, secret in secrets.items()}


def to_them(suite, commitments):
    return [
        {"identifier": theirs(suite, one.identifier), "hiding": one.hiding.hex(), "binding": one.binding.hex()}
        for one in commitments
    ]


def test_they_verify_our_signatures_and_no_others(noble, name, suite):
    for seed in range(4):
        key = dealt(suite, 3, (1, 2, 3, 4, 5), seeded(seed))
        group = key[1].public.group
        signature = signed(key, (2, 3, 5), MESSAGE, seeded((seed, 1)))
        question = {"signature": signature.hex(), "key": group.hex()}
        assert noble.ask("verify", name, message=MESSAGE.hex(), **question) is True
        assert noble.ask("verify", name, message=(MESSAGE + b".").hex(), **question) is False
        if name != "secp256k1":  # theirs for everybody, not only for FROST
            plain = {**question, "key": (group[1:] if suite is TAPROOT else group).hex()}
            assert noble.ask("verifyPlain", name, message=MESSAGE.hex(), **plain) is True


def test_we_verify_their_signatures(noble, name, suite):
    for _ in range(3):
        dealt = noble.ask("deal", name, min=2, max=3)
        secrets = [dealt["secretShares"][theirs(suite, number)] for number in (1, 3)]
        rounds = [noble.ask("commit", name, secret=secret) for secret in secrets]
        question = {
            "public": dealt["public"],
            "commitments": [one["commitments"] for one in rounds],
            "message": MESSAGE.hex(),
        }
        shares = {
            secret["identifier"]: noble.ask("sign", name, secret=secret, kept=one["kept"], **question)
            for secret, one in zip(secrets, rounds, strict=True)
        }
        signature = bytes.fromhex(noble.ask("aggregate", name, shares=shares, **question))
        group = bytes.fromhex(dealt["public"]["commitments"][0])
        assert suite.verify(suite.even(group), MESSAGE, signature)
        assert not suite.verify(suite.even(group), MESSAGE + b".", signature)


def test_both_sign_together(noble, name, suite):
    """Signer 1 is theirs, signers 2 and 4 ours, of a key that they dealt; each checks the other's share."""
    for _ in range(4):  # taproot: keys and nonces of both parities
        dealt = noble.ask("deal", name, min=3, max=4)
        key = their_key(suite, dealt)
        public = key[1].public
        public.check()
        secret = dealt["secretShares"][theirs(suite, 1)]
        first = noble.ask("commit", name, secret=secret)
        nonces, ours = committed(key, (2, 4), seeded("ours"))
        points = (bytes.fromhex(first["commitments"][kind]) for kind in ("hiding", "binding"))
        commitments = [Commitment(1, 0, *points), *ours]
        question = {
            "public": dealt["public"],
            "commitments": to_them(suite, commitments),
            "message": MESSAGE.hex(),
        }
        answer = noble.ask("sign", name, secret=secret, kept=first["kept"], **question)
        answers = [SignatureShare(1, 0, bytes.fromhex(answer))]
        answers += [sign(key[signer], made, MESSAGE, commitments) for signer, made in nonces.items()]
        assert verify_signature_share(public, answers[0], MESSAGE, commitments)
        for one in answers:
            share = {"identifier": theirs(suite, one.identifier), "share": one.response.hex()}
            assert noble.ask("verifyShare", name, **share, **question) is True
        shares = {theirs(suite, one.identifier): one.response.hex() for one in answers}
        signature = aggregate(public, MESSAGE, commitments, answers)
        assert noble.ask("aggregate", name, shares=shares, **question) == signature.hex()


def test_both_recover_the_same_key(noble, name, suite):
    dealt = noble.ask("deal", name, min=2, max=3)
    key = their_key(suite, dealt)
    for pair in combinations(key, 2):
        secrets = [dealt["secretShares"][theirs(suite, number)] for number in pair]
        whole = noble.ask("combine", name, secrets=secrets, signers={"min": 2, "max": 3})
        assert secret_share_combine([key[number] for number in pair]).reveal().hex() == whole


def test_each_takes_the_others_proof_of_possession(noble, name, suite):
    """Theirs have no context; ours are made with an empty one here."""
    for message in noble.ask("generate", name, min=2, max=3)["first"]:
        number = numbered(suite, message["identifier"])
        point, proof = bytes.fromhex(message["commitment"][0]), bytes.fromhex(message["proofOfKnowledge"])
        assert verify_possession(suite, number, point, b"", proof)
        assert not verify_possession(suite, number + 1, point, b"", proof)
    for seed in range(4):
        random = seeded(seed)
        coefficients = [suite.random_scalar(random) for _ in range(2)]
        proof = prove_possession(suite, 2, Secret(coefficients[0]), b"", random)
        other = {
            "identifier": theirs(suite, 2),
            "commitment": [point.hex() for point in vss_commit(suite, coefficients)],
            "proof": proof.hex(),
        }
        assert noble.ask("takes", name, min=2, max=2, other=other) is True
        other["identifier"] = theirs(suite, 3)
        assert noble.ask("takes", name, min=2, max=2, other=other) == "invalid proof of knowledge"


def test_a_generated_taproot_key_is_tweaked_as_they_do(noble):
    """They tweak every generated key with the empty root; we tweak when signing."""
    for _ in range(4):
        made = noble.ask("generate", "secp256k1-tr", min=2, max=3)
        said = [[bytes.fromhex(point) for point in message["commitment"]] for message in made["first"]]
        group = TAPROOT.add([points[0] for points in said])
        key = made["keys"][0]["public"]
        shares = {numbered(TAPROOT, one): bytes.fromhex(point) for one, point in key["verifyingShares"].items()}
        internal = PublicKeys(TAPROOT, 0, 2, group, dict.fromkeys(shares, group))
        assert taproot.tweak_public(internal).group.hex() == key["commitments"][0]
        tweaked = PublicKeys(TAPROOT, 0, 2, bytes.fromhex(key["commitments"][0]), shares)
        mine = {
            numbered(TAPROOT, one["secret"]["identifier"]): bytes.fromhex(one["secret"]["signingShare"])
            for one in made["keys"]
        }
        loaded = {number: KeyShare(number, Secret(secret), tweaked) for number, secret in mine.items()}
        for share in loaded.values():
            share.check()
        assert TAPROOT.verify(tweaked.group, MESSAGE, signed(loaded, (1, 3), MESSAGE, seeded(0)))
