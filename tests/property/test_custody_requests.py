"""Coordinator and signers under faults. The invariants are in tests/custodyworld.py, each with its name.

M1CEP_CASES sets how many random runs are tried in all (default 100).
"""

import contextlib
import json
import os
import re
from dataclasses import replace

import hypothesis
import pytest
from custodyworld import Faults, G, P, Q, Watch, World, inputs_of, messages_of
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.policy import Decision, Verdict
from m1cep.custody.policy.events import Spent, parse_fact
from m1cep.custody.request import Kind, Lock, parse_request
from m1cep.custody.requests import Coordinator, State, decode, encode, ends, rounds
from m1cep.custody.requests.messages import (
    AskCommitment,
    AskShare,
    Commitment,
    Heard,
    Propose,
    Share,
    Status,
    Tick,
    Unable,
    Vote,
)
from m1cep.custody.signer import Known, NonceBox, Signer, votes
from m1cep.errors import CustodyError

CASES = max(1, int(os.environ.get("M1CEP_CASES", "100")))
STEPS = 80

# A run is made of its seed: a smaller seed is no simpler one.
AS_IT_IS = {"deadline": None, "phases": [hypothesis.Phase.explicit, hypothesis.Phase.generate]}
share = st.sampled_from([0.0, 0.05, 0.2])
all_faults = st.builds(
    Faults,
    lost=share,
    doubled=share,
    delay_ms=st.sampled_from([0, 300, 4_000]),
    replayed=share,
    crash=st.sampled_from([0.0, 0.02, 0.1]),
    liars=st.sampled_from([0, 1, 2]),
    alerts=st.sampled_from([0.0, 0.05]),
    refresh=st.sampled_from([0.0, 0.02]),
    void=st.sampled_from([0.0, 0.05]),
    cancel=st.sampled_from([0.0, 0.02]),
    thief=st.sampled_from([0.0, 0.2]),
)
HARSH = Faults(0.2, 0.2, 4_000, 0.2, 0.1, 2, 0.05, 0.02, 0.05, 0.02, 0.2)
CALM = Faults(doubled=0.2, delay_ms=300)


def run(seed, faults, **kwargs):
    world = World(seed, faults, **kwargs)
    world.ask()
    for _ in range(STEPS):
        world.step()
    world.settle()
    return world


@settings(max_examples=CASES, **AS_IT_IS)
@given(seed=st.integers(0, 2**32), faults=all_faults, size=st.sampled_from([(5, 3), (3, 2), (4, 3), (1, 1)]))
def test_every_invariant_holds_under_every_fault(seed, faults, size):
    run(seed, faults, signers=size[0], threshold=size[1])


def test_the_runs_are_not_idle():
    ends = [s.state for seed in range(8) for s in run(seed, HARSH).watch.statuses.values()]
    for state in (State.CONFIRMED, State.REJECTED, State.EXPIRED):
        assert ends.count(state) >= 3


def only_good(world):
    """What every signer would sign at once, so that nothing but faults is in the way."""
    kinds = [kind for kind in Kind if kind is not Kind.PAYOUT]
    return [world.ask(kind=kind, destination="there", amount="7", **times(world, kind)) for kind in kinds]


def times(world, kind):
    timed = kind in {Kind.TIME_LOCK, Kind.ESCROW}
    return {
        "expires_ms": world.now_ms + 120_000,
        "not_before_ms": world.now_ms + 5_000 if timed else 0,
        "lock": Lock("w", "other", "TOKEN", "5") if kind is Kind.CROSS_CHAIN else None,
    }


@settings(max_examples=max(1, CASES // 5), **AS_IT_IS)
@given(seed=st.integers(0, 2**32), liars=st.integers(0, 2), crash=st.sampled_from([0.0, 0.02]))
def test_what_is_in_order_is_confirmed_in_spite_of_liars_losses_and_crashes(seed, liars, crash):
    world = World(seed, Faults(liars=liars))
    requests = only_good(world)
    world.deliver()
    world.faults = Faults(lost=0.05, doubled=0.1, delay_ms=300, crash=crash, liars=liars)
    for _ in range(300):
        world.pass_time(500)
    assert {world.watch.statuses[r.id].state for r in requests} == {State.CONFIRMED}
    world.settle()


# -- every safeguard is missed when it is taken away


def notices(faults=HARSH, tries=40, change=lambda _world: None, **kwargs):
    """What is said first in runs without a safeguard. Not every run can notice, so several are tried."""
    for seed in range(tries):
        world = World(seed, faults, **kwargs)
        change(world)
        try:
            world.ask()
            for _ in range(STEPS):
                world.step()
            world.settle()
        except AssertionError as error:
            return str(error).split("\n")[0].split(":")[0]
    return "nothing"


def test_a_signer_that_commits_anew_to_the_same_question_is_noticed(monkeypatch):
    def again(signer, known, event):
        nonces, commitment = signer._secrets.commit("v", event.epoch, len(messages_of(known.request, event.plan)))
        signer._nonces.drop(known.request.id)
        signer._nonces.put(known.request.id, event.attempt, nonces)
        known.commitment = commitment
        return [Commitment(known.request.id, signer.number, event.attempt, commitment)]

    monkeypatch.setattr(Signer, "_commit_again", again)
    assert notices(CALM) == "two commitments in one attempt"


def test_nonces_that_stay_after_use_are_noticed(monkeypatch):
    def peek(box, request_id, attempt):
        newest, pair = box._pairs.get(request_id, (0, None))
        return pair if newest == attempt else None

    real = Signer._share

    def forgetful(signer, known, quorum, event):
        known.share = b""  # as after a snapshot that is too old
        return real(signer, known, quorum, event)

    monkeypatch.setattr(Signer, "_share", forgetful)
    assert notices(CALM, tries=5) == "nothing"  # the box alone is enough
    monkeypatch.setattr(NonceBox, "take", peek)
    assert notices(CALM) == "a nonce was used twice"


def test_a_signer_that_believes_everybody_is_noticed(monkeypatch):
    monkeypatch.setattr(votes, "decide", lambda policy, *_: Decision(Verdict.ALLOW, "all", "", policy.hash))
    assert notices() in {
        "signed in spite of an alert",
        "signed in spite of a hold",
        "signed for a destination that is not on the whitelist",
        "signed at the wrong time",
        "released without a lock",
        "released without approval",
    }


def test_approvals_that_nobody_checks_are_noticed(monkeypatch):
    monkeypatch.setattr(
        votes, "settle", lambda _policy, decision, *_: Decision(Verdict.ALLOW, "x", "", decision.policy)
    )
    assert notices() != "nothing"


def test_shares_that_nobody_checks_are_noticed():
    def believe(world):
        world.group.share_is_valid = lambda *_: True

    assert notices(Faults(liars=2), change=believe) == "a signature that does not verify"


def test_forgetting_that_shares_were_asked_for_is_noticed(monkeypatch):
    real = rounds._commitment

    def forgetful(desk, case, event):
        real(desk, case, event)
        case.exposed = False

    monkeypatch.setattr(rounds, "_commitment", forgetful)
    assert notices(Faults(thief=0.5, lost=0.2, cancel=0.02)) in {
        "not what the chain says",
        "a lock that was used up is returned",
    }


def test_a_plan_for_every_attempt_is_noticed(monkeypatch):
    real = rounds._begin

    def plan_anew(desk, case, able):
        case.plan = b"plan of attempt %d" % (case.attempt + 1)
        real(desk, case, able)

    monkeypatch.setattr(rounds, "_begin", plan_anew)
    monkeypatch.setattr(Known, "pinned", property(lambda _: "", lambda *_: None), raising=False)
    assert notices(Faults(liars=2)) in {"two contents signed under one id", "two transactions for one request"}


def test_a_coordinator_that_says_nothing_twice_is_noticed(monkeypatch):
    monkeypatch.setattr(ends, "say_lock", lambda *_: None)
    assert notices(Faults(lost=0.2)) == "a lock was left"


def test_a_coordinator_without_an_expiry_is_noticed(monkeypatch):
    real = Coordinator._pass_time

    def never(coordinator, desk, case):
        if desk.now_ms < case.request.expires_ms:
            real(coordinator, desk, case)

    monkeypatch.setattr(Coordinator, "_pass_time", never)
    assert notices() in {"a request without an end", "a lock was left"}


def test_a_reservation_that_is_never_returned_is_noticed(monkeypatch):
    real = votes.Votes._spent
    monkeypatch.setattr(
        votes.Votes,
        "_spent",
        lambda self, known, spent: real(self, known, spent) if spent is Spent.RESERVED else None,
    )
    assert re.fullmatch(r"signer \d holds r\d back", notices())


# -- a coordinator that lies as it likes


@settings(max_examples=CASES, **AS_IT_IS)
@given(st.data())
def test_whatever_a_coordinator_says_a_signer_signs_one_content_and_uses_no_nonce_twice(data):
    """Any questions in any order, with restarts: the watch looks at every use of the secrets."""
    draw = data.draw
    world = World(draw(st.integers(0, 9)), signers=3, threshold=2)
    for _ in range(3):
        world.pass_time(10)
    request = world.ask(kind=Kind.TRANSFER, destination="there", amount="7", not_before_ms=0, lock=None)
    signer, own = world.signers[1], [b"none"]
    other = pow(G, 77, P).to_bytes(8, "big")
    attempt = st.integers(1, 3)
    for _ in range(draw(st.integers(1, 25))):
        match draw(st.sampled_from(["propose", "commit", "share", "share", "share", "restart", "epoch"])):
            case "propose":
                event = Propose(request, world.quorum.epoch)
            case "commit":
                signers = draw(st.sampled_from([(1, 2), (1, 3), (1,), (2, 3), (1, 1)]))
                plan = draw(st.sampled_from([b"plan 1", b"plan 2", b"?"]))
                event = AskCommitment(request.id, request.digest(), 1, draw(attempt), plan, signers)
            case "share":
                mine = draw(st.sampled_from(own))
                theirs = draw(st.sampled_from([other, pow(G, 78, P).to_bytes(8, "big"), b"?"]))
                commitments = draw(
                    st.sampled_from([{1: mine, 2: theirs}, {1: mine, 3: theirs}, {1: mine}, {2: theirs}])
                )
                at_once = draw(st.sampled_from([None, None, b"plan 1", b"plan 2", b"?"]))
                event = AskShare(request.id, request.digest(), 1, draw(attempt), commitments, at_once)
            case "restart":
                kept = json.loads(json.dumps(signer.snapshot()))
                signer = world.signers[1] = Signer.restore(kept, world.quorums, world.policy, world.secrets[1])
                continue
            case "epoch":
                world.quorum = replace(world.quorum, epoch=draw(st.sampled_from([1, 2])))
                signer.set_quorum("v", world.quorum)
                continue
        for answer in signer.handle(event):
            world.watch.heard(answer)
            if isinstance(answer, Commitment | Vote) and answer.commitment:
                own.append(answer.commitment)


@pytest.mark.parametrize("at_once", [False, True], ids=["of a round", "of the vote"])
def test_a_nonce_that_is_used_twice_gives_the_key_away(monkeypatch, at_once):
    """What the box is for: with it taken away, two shares of one attempt are two equations with two unknowns."""
    plan = next(b"plan %d" % n for n in range(9) if inputs_of(b"plan %d" % n) == 1)
    keep = NonceBox.take

    def take_and_keep(box, request_id, attempt):
        pair = keep(box, request_id, attempt)
        box.put(request_id, attempt, pair)
        return pair

    def attack():
        world = World(1, signers=3, threshold=2)
        world.pass_time(10)
        request = world.ask(kind=Kind.TRANSFER, destination="there", amount="7", not_before_ms=0, lock=None)
        signer = world.signers[1]
        [mine] = signer.handle(Propose(request, 1))
        if not at_once:
            [mine] = signer.handle(AskCommitment(request.id, request.digest(), 1, 1, plan, (1, 2)))
        said = []
        for secret in (77, 78):
            commitments = {1: mine.commitment, 2: pow(G, secret, P).to_bytes(8, "big")}
            known = signer.known(request.id)
            known.share, known.attempt = b"", 0 if at_once else 1  # as after a snapshot that is too old
            said += signer.handle(AskShare(request.id, request.digest(), 1, 1, commitments, plan if at_once else None))
        return world, said

    world, said = attack()
    assert [type(answer) for answer in said] == [Share, Unable]
    monkeypatch.setattr(NonceBox, "take", take_and_keep)
    monkeypatch.setattr(Watch, "uses", lambda *_: None)
    world, said = attack()
    (_, _, c1, z1), (_, _, c2, z2) = world.watch.transcript
    assert (z1 - z2) * pow(c1 - c2, -1, Q) % Q == world.secrets[1].key


# -- parsers


BUSY = run(1, replace(HARSH, crash=0.0))
MESSAGES = [message for _, message in BUSY.past]


@settings(max_examples=CASES * 3, deadline=None)
@given(st.data())
def test_any_bytes_are_a_message_or_refused(data):
    if data.draw(st.booleans()):
        blob = data.draw(st.binary())
    else:
        blob = encode(data.draw(st.sampled_from(MESSAGES)))
        at = data.draw(st.integers(0, len(blob)))
        put = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"-1", b"null", b"[]", b"1e9", b'"', b"{", b'"x":1,', b"\\ud800"])
        )
        blob = blob[:at] + put + blob[at + data.draw(st.integers(0, 6)) :]
    for parse in (decode, parse_request, parse_fact):
        with contextlib.suppress(CustodyError):
            parse(blob)
    try:
        message = decode(blob)
    except CustodyError:
        return
    assert decode(encode(message)) == message
    for machine, hears in ((BUSY.coordinator, Heard), (BUSY.signers[1], Propose | AskCommitment | AskShare | Status)):
        if isinstance(message, hears) and not isinstance(message, Tick):
            machine.handle(message)
