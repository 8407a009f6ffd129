"""Keys without a dealer, refresh, other members, repair, recovery: the key stays, the old shares are worth nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from frostworld import SUITES, Run, dealt, identities, roster, seeded, signed

from m1cep.custody.frost import ED25519, TAPROOT, ceremony
from m1cep.custody.frost.ceremony import RoundOne
from m1cep.custody.frost.envelope import Identity
from m1cep.custody.frost.errors import (
    AuthenticityError,
    EncodingError,
    EpochError,
    MisbehaviourError,
    SharesError,
    SignersError,
)
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare
from m1cep.custody.frost.proof import prove_possession, verify_possession
from m1cep.custody.frost.recovery import secret_share_combine
from m1cep.custody.frost.repair import Repair, Split, add_parts, combine, split
from m1cep.custody.frost.sealing import BoxKey
from m1cep.custody.frost.sharing import vss_verify
from m1cep.custody.frost.terms import new_key, refresh, reshare

NAME = b"c" * 32
MESSAGE = b"m" * 32
RANDOM = seeded("people")
PEOPLE = identities(range(1, 8), RANDOM)


def people(*members):
    return roster({member: PEOPLE[member] for member in members})


@pytest.fixture(params=SUITES)
def suite(request):
    return SUITES[request.param]


@pytest.fixture
def old(suite):
    return dealt(suite, 2, (1, 2, 3), seeded("old"))


@pytest.fixture
def fresh_key(suite):
    return Run(new_key(suite, NAME, 2, people(1, 2, 3)), seeded("dkg"))


def sign_and_verify(shares, signers, group):
    signature = signed(shares, signers, MESSAGE, seeded(signers))
    public = next(iter(shares.values())).public
    return public.group == group and public.suite.verify(public.suite.even(group), MESSAGE, signature)


# a new key


def test_a_new_key_signs_with_any_of_its_quorums_and_nobody_dealt_it(fresh_key):
    shares = fresh_key.whole(PEOPLE)
    public = shares[1].public
    assert all(share.public == public for share in shares.values())
    assert (public.epoch, public.threshold) == (0, 2)
    public.check()
    assert all(sign_and_verify(shares, pair, public.group) for pair in combinations(shares, 2))
    # the key is the sum of what all contributed
    assert public.group == public.suite.add([message.commitments[0] for message in fresh_key.first.values()])
    assert ceremony.next_public_keys(fresh_key.terms, fresh_key.first) == public


def test_two_ceremonies_give_two_keys(suite):
    keys = {Run(new_key(suite, NAME, 2, people(1, 2)), seeded(seed)).whole(PEOPLE)[1].public.group for seed in range(3)}
    assert len(keys) == 3


def test_a_dealer_whose_share_does_not_fit_its_commitments_is_named(fresh_key):
    second = fresh_key.second()
    box = fresh_key.dealings[2].box
    wrong = Secret(fresh_key.terms.suite.scalar(5))
    second[2][3] = box.seal(fresh_key.first[3].box_key, wrong, seeded(0))
    assert fresh_key.finish(1, second)
    with pytest.raises(MisbehaviourError, match="does not fit its commitments: signer 2") as raised:
        fresh_key.finish(3, second)
    assert raised.value.culprits == (2,)


@pytest.mark.parametrize("sealed", [b"", bytes(72), b"?" * 71])
def test_a_dealer_whose_sealed_share_cannot_be_opened_is_named(fresh_key, sealed):
    second = fresh_key.second()
    second[2][3] = sealed
    with pytest.raises(MisbehaviourError, match="in the second round") as raised:
        fresh_key.finish(3, second)
    assert raised.value.culprits == (2,)


def test_a_sealed_share_is_for_its_receiver_only(fresh_key):
    second = fresh_key.second()
    second[2][3] = second[2][1]
    with pytest.raises(MisbehaviourError, match="not for this key"):
        fresh_key.finish(3, second)


def test_what_is_not_said_as_it_must_be_in_the_first_round_is_blamed(fresh_key):
    terms, honest = fresh_key.terms, fresh_key.first[2]
    point = terms.suite.base_mul(terms.suite.scalar(9))
    for flaw, message in {
        "proof of possession": replace(honest, commitments=(point, honest.commitments[1])),
        "proof of possession is": replace(honest, proof=fresh_key.first[1].proof),
        "proof of": replace(honest, proof=b""),
        "commits to 3 coefficients, not 2": replace(honest, commitments=(*honest.commitments, point)),
        "commits to 0": replace(honest, commitments=()),
        "speaks as signer 1": fresh_key.first[1],
    }.items():
        with pytest.raises(MisbehaviourError, match=flaw) as raised:
            ceremony.check_round_ones(terms, {**fresh_key.first, 2: message})
        assert raised.value.culprits == (2,)


def test_a_key_made_to_cancel_the_others_is_refused_for_want_of_a_proof(suite):
    """The rogue key: chosen as one's own point less the others', so that the sum is one's own."""
    run = Run(new_key(suite, NAME, 2, people(1, 2)), seeded(0))
    minus = suite.mul(run.first[1].commitments[0], suite.scalar(-1))
    rogue = suite.add([run.first[2].commitments[0], minus])
    run.first[2] = replace(run.first[2], commitments=(rogue, run.first[2].commitments[1]))
    with pytest.raises(MisbehaviourError, match="proof of possession is wrong: signer 2"):
        run.second()


def test_a_proof_of_another_ceremony_is_worth_nothing(suite):
    first = Run(new_key(suite, NAME, 2, people(1, 2)), seeded(0))
    other = Run(new_key(suite, b"d" * 32, 2, people(1, 2)), seeded(1))
    other.first[2] = first.first[2]
    with pytest.raises(MisbehaviourError, match="proof of possession"):
        other.second()


def test_a_low_order_box_key_is_blamed_on_who_announced_it(fresh_key):
    fresh_key.first[3] = replace(fresh_key.first[3], box_key=bytes(32))
    with pytest.raises(MisbehaviourError, match="small order") as raised:
        fresh_key.second()
    assert raised.value.culprits == (3,)


def test_messages_that_are_missing_or_of_strangers_are_asked_for(fresh_key):
    second = fresh_key.second()
    complete = dict(fresh_key.first)
    del fresh_key.first[2]
    with pytest.raises(SignersError, match=r"the first round needs signers \[1, 2, 3\]; it has \[1, 3\]"):
        fresh_key.second()
    fresh_key.first = complete
    with pytest.raises(SignersError, match=r"the second round needs dealers \[1, 2, 3\]; it has \[1, 3\]"):
        fresh_key.finish(1, {dealer: sent for dealer, sent in second.items() if dealer != 2})
    with pytest.raises(SignersError, match="signer 7 has no part"):
        ceremony.round_one(fresh_key.terms, 7, seeded(0))


# agreement


def test_no_share_is_active_before_all_have_confirmed_the_same(fresh_key):
    second = fresh_key.second()
    pending = {one: fresh_key.finish(one, second) for one in (1, 2, 3)}
    said = {one: ceremony.confirm(PEOPLE[one], waiting.transcript) for one, waiting in pending.items()}
    assert pending[1].activate(fresh_key.terms, said)
    with pytest.raises(SignersError, match=r"signers \[2\] have not confirmed"):
        pending[1].activate(fresh_key.terms, {1: said[1], 3: said[3]})
    for forged in (said[1], ceremony.confirm(PEOPLE[2], b"else"), b""):
        with pytest.raises(AuthenticityError, match="signer 2 has confirmed other messages"):
            pending[1].activate(fresh_key.terms, {**said, 2: forged})


def test_a_broker_that_shows_different_messages_is_found_out(suite):
    """Signer 2 deals two polynomials; the broker shows one to signer 1 and the other to signer 3."""
    run = Run(new_key(suite, NAME, 2, people(1, 2, 3)), seeded(0))
    other_dealing, other_first = ceremony.round_one(run.terms, 2, seeded("two faces"))
    seen = {1: dict(run.first), 3: {**run.first, 2: other_first}}
    pending = {}
    for one, first in seen.items():
        dealings = {1: run.dealings[1], 2: run.dealings[2] if one == 1 else other_dealing, 3: run.dealings[3]}
        sealed = {
            dealer: ceremony.round_two(run.terms, dealings[dealer], first, seeded(dealer))[one] for dealer in (1, 2, 3)
        }
        pending[one] = ceremony.finish(run.terms, run.dealings[one], first, sealed)
    said = {one: ceremony.confirm(PEOPLE[one], waiting.transcript) for one, waiting in pending.items()}
    said[2] = ceremony.confirm(PEOPLE[2], pending[1].transcript)
    with pytest.raises(AuthenticityError, match="signer 3 has confirmed other messages"):
        pending[1].activate(run.terms, said)
    assert not hasattr(pending[1], "share")


def test_all_that_was_agreed_on_is_in_the_transcript(suite, old):
    public = old[1].public
    base = reshare(public, NAME, 2, (1, 2, 3), (1, 2), people(1, 2, 3))
    strangers = roster({**{m: PEOPLE[m] for m in (1, 2)}, 3: Identity(3, Secret(bytes(32)))})
    others = [
        reshare(public, b"d" * 32, 2, (1, 2, 3), (1, 2), people(1, 2, 3)),
        reshare(public, NAME, 3, (1, 2, 3), (1, 2), people(1, 2, 3)),
        reshare(public, NAME, 2, (1, 2, 3), (1, 3), people(1, 2, 3)),
        reshare(public, NAME, 2, (1, 2, 3), (1, 2), strangers),
        reshare(replace(public, epoch=1), NAME, 2, (1, 2, 3), (1, 2), people(1, 2, 3)),
        new_key(suite, NAME, 2, people(1, 2, 3)),
    ]
    other_key = dealt(suite, 2, (1, 2, 3), seeded("another"))[1].public
    others.append(reshare(other_key, NAME, 2, (1, 2, 3), (1, 2), people(1, 2, 3)))
    others.append(reshare(public, NAME, 2, (1, 2, 3, 4), (1, 2), people(1, 2, 3, 4)))
    assert len({terms.digest() for terms in (base, *others)}) == 9
    first = Run(base, seeded(0), old).first
    transcripts = {ceremony.transcript(terms, first) for terms in (base, *others[:2])}
    transcripts.add(ceremony.transcript(base, {**first, 3: replace(first[3], box_key=bytes(32))}))
    assert len(transcripts) == 4


def test_a_pending_share_survives_a_crash_before_the_confirmations_come(suite, fresh_key):
    second = fresh_key.second()
    pending = {one: fresh_key.finish(one, second) for one in (1, 2, 3)}
    stored = pending[1].encode()
    said = {one: ceremony.confirm(PEOPLE[one], waiting.transcript) for one, waiting in pending.items()}
    again = ceremony.Pending.decode(suite, stored)
    assert again.public == pending[1].public
    assert again.activate(fresh_key.terms, said) == pending[1].activate(fresh_key.terms, said)


# refresh and other members


def test_a_refresh_keeps_the_key_and_the_new_shares_sign(old):
    public = old[1].public
    new = Run(refresh(public, NAME, (1, 3), people(1, 2, 3)), seeded(0), old).whole(PEOPLE)
    assert new[1].public.epoch == 1
    assert (new[1].public.group, new[1].public.threshold, set(new)) == (public.group, 2, {1, 2, 3})
    assert all(new[one].secret != old[one].secret for one in old)
    assert all(sign_and_verify(new, pair, public.group) for pair in combinations(new, 2))


def test_old_and_new_shares_do_not_mix(old):
    public = old[1].public
    new = Run(refresh(public, NAME, (1, 2), people(1, 2, 3)), seeded(0), old).whole(PEOPLE)
    with pytest.raises(EpochError, match="epoch 1, expected epoch 0; this signer is behind"):
        signed({1: old[1], 2: new[2]}, (1, 2), MESSAGE, seeded(0))
    with pytest.raises(EpochError):
        secret_share_combine([old[1], new[2]])
    # and where somebody lies about the epoch, the numbers do not fit
    lying = KeyShare(2, new[2].secret, public)
    with pytest.raises(MisbehaviourError) as raised:
        signed({1: old[1], 2: lying}, (1, 2), MESSAGE, seeded(0))
    assert raised.value.culprits == (2,)
    with pytest.raises(SharesError, match="not that of signer 2, epoch 0"):
        secret_share_combine([old[1], lying])


@pytest.mark.parametrize(
    ("threshold", "receivers", "dealers"),
    [
        (3, (1, 2, 3, 4, 5), (1, 2)),  # more signers, a higher threshold
        (2, (2, 3), (1, 2, 3)),  # one leaves
        (2, (4, 5, 6), (1, 3)),  # all others
        (2, (1, 2, 4), (1, 2)),  # one is replaced
    ],
)
def test_other_members_or_threshold_under_the_same_key(old, threshold, receivers, dealers):
    public = old[1].public
    members = people(*sorted({*receivers, *dealers}))
    new = Run(reshare(public, NAME, threshold, receivers, dealers, members), seeded(0), old).whole(PEOPLE)
    assert tuple(new) == receivers
    quorums = list(combinations(receivers, threshold))
    assert all(sign_and_verify(new, quorum, public.group) for quorum in quorums)
    with pytest.raises(SignersError, match="too few"):
        signed(new, receivers[: threshold - 1], MESSAGE, seeded(0))


def test_a_dealer_that_deals_something_else_than_its_share_is_named(suite, old):
    run = Run(refresh(old[1].public, NAME, (1, 2), people(1, 2, 3)), seeded(0), old)
    point = suite.base_mul(suite.scalar(9))
    run.first[2] = replace(run.first[2], commitments=(point, run.first[2].commitments[1]))
    with pytest.raises(MisbehaviourError, match="not its share of the key: signer 2"):
        run.second()


def test_who_should_not_deal_is_named_if_it_does(old):
    run = Run(refresh(old[1].public, NAME, (1, 2), people(1, 2, 3)), seeded(0), old)
    run.first[3] = replace(run.first[3], commitments=run.first[1].commitments)
    with pytest.raises(MisbehaviourError, match="deals though it should not: signer 3"):
        run.second()


def test_a_dealer_of_a_known_share_proves_nothing(suite, old):
    run = Run(refresh(old[1].public, NAME, (1, 2), people(1, 2, 3)), seeded(0), old)
    proof = prove_possession(suite, 2, old[2].secret, b"", seeded(0))
    run.first[2] = replace(run.first[2], proof=proof)
    with pytest.raises(MisbehaviourError, match="signer 2"):
        run.second()


def test_who_joins_deals_nothing(old):
    run = Run(reshare(old[1].public, NAME, 2, (1, 2, 4), (1, 2), people(1, 2, 4)), seeded(0), old)
    assert ceremony.round_two(run.terms, run.dealings[4], run.first, seeded(0)) == {}


def test_commitments_that_cancel_each_other_give_no_key(suite):
    run = Run(new_key(suite, NAME, 2, people(1, 2)), seeded(0))
    minus = suite.mul(run.first[1].commitments[1], suite.scalar(-1))
    run.first[2] = replace(run.first[2], commitments=(run.first[2].commitments[0], minus))
    with pytest.raises(SharesError, match="add up to the identity element; repeat"):
        ceremony.next_public_keys(run.terms, run.first)
    with pytest.raises(MisbehaviourError, match="does not fit its commitments: signer 2"):
        run.finish(1, run.second())


def test_no_share_fits_commitments_that_cancel_at_its_place(suite):
    point = suite.base_mul(suite.scalar(5))
    assert not vss_verify(suite, 1, suite.scalar(5), (point, suite.mul(point, suite.scalar(-1))))


def test_who_leaves_gets_no_share_but_knows_the_new_public_keys(old):
    run = Run(reshare(old[1].public, NAME, 2, (2, 3), (1, 2, 3), people(1, 2, 3)), seeded(0), old)
    second = run.second()
    with pytest.raises(SignersError, match="signer 1 receives no share"):
        ceremony.finish(run.terms, run.dealings[1], run.first, {dealer: sent[2] for dealer, sent in second.items()})
    pending = {one: run.finish(one, second) for one in (2, 3)}
    said = {one: ceremony.confirm(PEOPLE[one], waiting.transcript) for one, waiting in pending.items()}
    ceremony.check_confirmations(run.terms, ceremony.transcript(run.terms, run.first), said)
    assert ceremony.next_public_keys(run.terms, run.first) == pending[2].public


def test_a_reshare_needs_enough_known_dealers_with_their_shares(old):
    public = old[1].public
    with pytest.raises(SignersError, match="1 dealers are too few; this key needs 2"):
        refresh(public, NAME, (1,), people(1, 2, 3))
    with pytest.raises(SignersError, match=r"signers \[4\] hold no share"):
        refresh(public, NAME, (1, 4), people(1, 2, 3, 4))
    with pytest.raises(SignersError, match="1 comes more than once"):
        refresh(public, NAME, (1, 1), people(1, 2, 3))
    with pytest.raises(SignersError, match=r"the roster has signers \[1, 2\]"):
        refresh(public, NAME, (1, 2), people(1, 2))
    with pytest.raises(EncodingError, match="the verify key of signer 2 must be 32 bytes, not 4"):
        refresh(public, NAME, (1, 2), {**people(1, 2, 3), 2: b"oops"})
    with pytest.raises(EncodingError, match="a ceremony's name must be 32 bytes, not 3"):
        refresh(public, b"abc", (1, 2), people(1, 2, 3))
    terms = refresh(public, NAME, (1, 2), people(1, 2, 3))
    stale = replace(public, epoch=4)
    for share in (None, old[2], replace(old[1], public=stale)):
        with pytest.raises(SharesError, match="to deal, signer 1 needs its share of epoch 0"):
            ceremony.round_one(terms, 1, seeded(0), share)


def test_previous_public_keys_that_do_not_belong_together_are_found(suite, old):
    public = replace(old[1].public, group=suite.base_mul(suite.scalar(3)))
    shares = {one: replace(share, public=public) for one, share in old.items()}
    run = Run(refresh(public, NAME, (1, 2), people(1, 2, 3)), seeded(0), shares)
    with pytest.raises(SharesError, match="the group's key would change"):
        run.finish(1, run.second())


# repair


def repaired(key, helpers, lost, random=None):
    """All steps, and what travelled."""
    repair = Repair(key[helpers[0]].public, helpers, lost)
    made = {helper: split(repair, key[helper], random or seeded("repair")) for helper in helpers}
    splits = {helper: published for helper, (published, _) in made.items()}
    sums = {
        helper: add_parts(repair, helper, splits, {sender: parts[helper] for sender, (_, parts) in made.items()})
        for helper in helpers
    }
    return repair, made, splits, sums


@pytest.mark.parametrize("helpers", [(1, 3), (1, 3, 4)])
def test_a_lost_share_is_restored_by_others(suite, helpers):
    key = dealt(suite, 2, (1, 2, 3, 4), seeded(0))
    repair, _, splits, sums = repaired(key, helpers, 2)
    assert combine(repair, splits, sums) == key[2]


def test_no_helper_sees_the_lost_share_or_anothers(suite):
    key = dealt(suite, 2, (1, 2, 3), seeded(0))
    _, made, _, sums = repaired(key, (1, 3), 2)
    travelled = [part.reveal() for _, parts in made.values() for part in parts.values()]
    travelled += [one.reveal() for one in sums.values()]
    assert not {share.secret.reveal() for share in key.values()} & set(travelled)


def test_who_sends_something_wrong_in_a_repair_is_named(suite):
    key = dealt(suite, 2, (1, 2, 3, 4), seeded(0))
    repair, made, splits, sums = repaired(key, (1, 3, 4), 2)
    wrong = Secret(suite.scalar(5))
    for attempt in (
        lambda: combine(repair, splits, {**sums, 3: wrong}),
        lambda: add_parts(repair, 4, splits, {1: made[1][1][4], 3: wrong, 4: made[4][1][4]}),
        lambda: combine(repair, {**splits, 3: replace(splits[3], commitments=splits[1].commitments)}, sums),
        lambda: combine(repair, {**splits, 3: replace(splits[3], commitments=splits[3].commitments[:2])}, sums),
        lambda: combine(repair, {**splits, 3: replace(splits[3], identifier=4)}, sums),
        lambda: combine(repair, {**splits, 3: replace(splits[3], commitments=())}, sums),
        lambda: combine(repair, splits, {**sums, 3: Secret(bytes(32))}),
        lambda: add_parts(
            repair,
            4,
            {**splits, 3: replace(splits[3], commitments=(*splits[3].commitments[:1] * 2, splits[3].commitments[2]))},
            {sender: parts[4] for sender, (_, parts) in made.items()},
        ),
    ):
        with pytest.raises(MisbehaviourError) as raised:
            attempt()
        assert raised.value.culprits == (3,)


def test_parts_of_a_repair_that_cancel_each_other_are_refused(suite):
    key = dealt(suite, 2, (1, 2, 3), seeded(0))
    repair = Repair(key[1].public, (1, 3), 2)
    point = suite.base_mul(suite.scalar(5))
    minus = suite.mul(point, suite.scalar(-1))
    honest = {helper: split(repair, key[helper], seeded(helper))[0] for helper in (1, 3)}
    with pytest.raises(MisbehaviourError) as raised:
        combine(repair, {**honest, 3: Split(3, (point, minus))}, {})
    assert raised.value.culprits == (3,)
    together = {}
    for helper, first in ((1, point), (3, minus)):
        whole = suite.mul(key[1].public.shares[helper], repair.weight(helper))
        together[helper] = Split(helper, (first, suite.add([whole, suite.mul(first, suite.scalar(-1))])))
    with pytest.raises(SharesError, match="the splits add up to the identity element"):
        combine(repair, together, {})


def test_a_repair_for_public_keys_that_do_not_belong_together_gives_nothing(suite):
    key = dealt(suite, 2, (1, 2, 3), seeded(0))
    public = replace(key[1].public, shares={**key[1].public.shares, 2: key[1].public.shares[3]})
    repair, _, splits, sums = repaired({one: replace(share, public=public) for one, share in key.items()}, (1, 3), 2)
    with pytest.raises(SharesError, match="not that of signer 2"):
        combine(repair, splits, sums)


def test_a_repair_needs_enough_known_helpers_of_the_same_epoch(suite):
    key = dealt(suite, 2, (1, 2, 3), seeded(0))
    public = key[1].public
    with pytest.raises(SignersError, match="1 helpers are too few"):
        Repair(public, (1,), 2)
    with pytest.raises(SignersError, match="cannot help to restore its own"):
        Repair(public, (1, 2), 2)
    with pytest.raises(SignersError, match=r"no signers \[9\]"):
        Repair(public, (1, 3), 9)
    with pytest.raises(SharesError, match="needs its share of epoch 0"):
        split(Repair(public, (1, 3), 2), replace(key[1], public=replace(public, epoch=1)), seeded(0))
    with pytest.raises(SignersError, match="signer 2 is not among the helpers"):
        split(Repair(public, (1, 3), 2), key[2], seeded(0))
    repair, _, splits, sums = repaired(key, (1, 3), 2)
    with pytest.raises(SignersError, match=r"needs helpers \[1, 3\]; it has \[1\]"):
        combine(repair, {1: splits[1]}, sums)
    with pytest.raises(SignersError, match=r"of helpers \[1, 3\]; it has \[1\]"):
        combine(repair, splits, {1: sums[1]})


# recovery


def test_the_threshold_of_shares_gives_the_key_and_one_less_does_not(suite):
    key = dealt(suite, 3, (1, 2, 3, 4, 5), seeded(0))
    public = key[1].public
    for chosen in combinations(key.values(), 3):
        assert suite.base_mul(secret_share_combine(chosen).reveal()) == public.group
    with pytest.raises(SignersError, match="2 shares are too few; this key needs 3"):
        secret_share_combine([key[1], key[2]])
    with pytest.raises(SignersError, match="1 comes more than once"):
        secret_share_combine([key[1], key[2], key[1]])
    with pytest.raises(SignersError, match="no shares came"):
        secret_share_combine([])


def test_one_share_less_fits_every_key(suite):
    """Not only is it refused: for m - 1 shares and any key there is a polynomial through both."""
    key = dealt(suite, 3, (1, 2, 3, 4, 5), seeded(0))
    lowered = replace(key[1].public, threshold=2)
    two = [replace(key[one], public=lowered) for one in (1, 2)]
    with pytest.raises(SharesError, match="do not give the group's key"):
        secret_share_combine(two)


def test_shares_of_different_keys_are_not_combined(suite):
    one, other = (dealt(suite, 2, (1, 2, 3), seeded(seed)) for seed in (0, 1))
    with pytest.raises(SharesError, match="signers 1 and 2 are of different keys"):
        secret_share_combine([one[1], other[2]])


# proofs and boxes


def test_a_proof_is_of_one_signer_one_key_and_one_context(suite):
    secret = Secret(suite.random_scalar(seeded(0)))
    key, other = suite.base_mul(secret.reveal()), suite.base_mul(suite.scalar(5))
    for seed in range(4):  # taproot: nonces of both parities
        proof = prove_possession(suite, 3, secret, b"context", seeded(seed))
        assert verify_possession(suite, 3, key, b"context", proof)
        for wrong in ((4, key, b"context"), (3, other, b"context"), (3, key, b"")):
            assert not verify_possession(suite, *wrong, proof)
        assert not verify_possession(suite, 3, key, b"context", proof[:-1])


def test_a_box_is_opened_by_its_receiver_only():
    random = seeded(0)
    alice, bob, eve = (BoxKey(random) for _ in range(3))
    secret = Secret(ED25519.scalar(77))
    sealed = alice.seal(bob.public, secret, random)
    assert bob.open(ED25519, alice.public, sealed) == secret
    assert secret.reveal() not in sealed
    for opener, sender in ((eve, alice), (bob, eve)):
        with pytest.raises(AuthenticityError):
            opener.open(ED25519, sender.public, sealed)
    with pytest.raises(AuthenticityError):
        bob.open(ED25519, alice.public, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(EncodingError, match="72 bytes, not 0"):
        bob.open(ED25519, alice.public, b"")
    too_big = alice.seal(bob.public, Secret(b"\xff" * 32), random)
    for suite in (ED25519, TAPROOT):
        with pytest.raises(EncodingError):
            bob.open(suite, alice.public, too_big)


def test_a_round_one_message_survives_its_encoding(suite, old):
    for run in (
        Run(new_key(suite, NAME, 2, people(1, 2)), seeded(0)),
        Run(refresh(old[1].public, NAME, (1, 2), people(1, 2, 3)), seeded(0), old),
    ):
        for message in run.first.values():
            assert RoundOne.decode(suite, message.encode(suite)) == message


def test_what_is_kept_between_rounds_does_not_show(fresh_key):
    pending = fresh_key.finish(1, fresh_key.second())
    for hidden in (pending, fresh_key.dealings[1], fresh_key.dealings[1].box, PEOPLE[1]):
        assert repr(hidden).endswith("(hidden)")
