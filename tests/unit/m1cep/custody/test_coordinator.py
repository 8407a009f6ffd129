"""The coordinator, step by step: one request, signers that say what the test says."""

import json

import msgspec
import pytest

from m1cep.custody.policy import Approval
from m1cep.custody.request import Kind, Lock, Request, parse_request
from m1cep.custody.requests import Coordinator, Quorum, State, Timing
from m1cep.custody.requests.messages import (
    Approved,
    AskCommitment,
    AskShare,
    Broadcast,
    Cancel,
    Commitment,
    Confirmed,
    LockDone,
    LockPlaced,
    MakePlan,
    PlaceLock,
    Planned,
    Propose,
    Refused,
    ReturnLock,
    Seen,
    SettleLock,
    Share,
    Status,
    Submit,
    Tick,
    Unable,
    Void,
    Vote,
    Word,
)
from m1cep.errors import CustodyError

NOW = 1_000_000
TIMING = Timing(resend_ms=2_000, round_ms=10_000, attempts=3, confirm_ms=50_000, keep_ms=60_000)
REQUEST = Request("w1", Kind.TRANSFER, "eve", "acme", "v", "chain", "COIN", "there", "7", NOW, NOW + 100_000)
LOCK = Lock("w", "other", "TOKEN", "5")
CROSS = msgspec.structs.replace(REQUEST, kind=Kind.CROSS_CHAIN, lock=LOCK)


class Group:
    def commitment_is_valid(self, _request, _epoch, _plan, _signer, commitment):
        return commitment.startswith(b"c")

    def prepared(self, _request, _epoch, _plan, signer, commitment):
        return b"c%d" % signer if commitment == b"many %d" % signer else None

    def share_is_valid(self, _request, _epoch, _plan, _commitments, signer, share):
        return share == b"share %d" % signer

    def aggregate(self, _request, _epoch, plan, commitments, shares):
        assert set(commitments) == set(shares)
        return b"signature of " + plan


class Talk:
    """A coordinator of five signers, of which three are needed, and what it says."""

    def __init__(self, request=REQUEST):
        self.request, self.now_ms = request, NOW
        self.coordinator = Coordinator({"v": Quorum((1, 2, 3, 4, 5), 3, 1)}, Group(), TIMING)
        self.coordinator.handle(Tick(NOW))

    def hear(self, *events):
        return [said for event in events for said in self.coordinator.handle(event)]

    def after(self, ms):
        self.now_ms += ms
        return self.hear(Tick(self.now_ms))

    def vote(self, *signers, word=Word.ACCEPT, number=1, rule="rest", reason="why"):
        digest = self.request.digest()
        return self.hear(*[Vote(self.request.id, digest, s, word, number, rule, reason, "0" * 64) for s in signers])

    def begin(self, *signers):
        """Up to the first attempt; who takes part in it."""
        self.hear(Submit(self.request))
        if self.request.lock:
            self.hear(LockPlaced("w1"))
        self.vote(*(signers or (1, 2, 3, 4, 5)))
        return only(AskCommitment, self.hear(Planned("w1", b"plan"))).signers

    def commit(self, signers, attempt=1):
        return self.hear(*[Commitment("w1", s, attempt, b"c%d" % s) for s in signers])

    def share(self, signers, attempt=1):
        return self.hear(*[Share("w1", s, attempt, b"share %d" % s) for s in signers])

    def sign(self):
        signers = self.begin()
        self.commit(signers)
        return self.share(signers)

    @property
    def case(self):
        return self.coordinator.case("w1")


def only(kind, said):
    [found] = [one for one in said if isinstance(one, kind)]
    return found


def states(said):
    return [one.state.value for one in said if isinstance(one, Status)]


def test_from_request_to_confirmation():
    talk = Talk()
    said = talk.hear(Submit(REQUEST))
    assert states(said) == ["requested", "approving"]
    assert only(Propose, said) == Propose(REQUEST, 1)
    assert talk.vote(1, 2) == []
    said = talk.vote(5)
    assert states(said) == ["signing"]
    assert only(MakePlan, said).request == REQUEST
    ask = only(AskCommitment, talk.hear(Planned("w1", b"plan")))
    assert (ask.plan, ask.signers, ask.attempt, ask.epoch) == (b"plan", (1, 2, 5), 1, 1)
    assert talk.commit((5, 1)) == []
    ask = only(AskShare, talk.commit((2,)))
    assert (ask.attempt, ask.commitments) == (1, {1: b"c1", 2: b"c2", 5: b"c5"})
    assert talk.share((2, 1)) == []
    said = talk.share((5,))
    assert states(said) == ["signed"]
    assert only(Broadcast, said) == Broadcast(REQUEST, b"plan", b"signature of plan")
    assert states(talk.hear(Seen("w1", "tx"))) == ["broadcast"]
    assert states(talk.hear(Confirmed("w1", "tx-2"))) == ["confirmed"]  # with another fee, say
    assert talk.case.txid == "tx-2"
    assert talk.coordinator.open == []


# -- commitments with the votes


def vote_and_commit(talk, *signers, number=1):
    said = []
    for signer in signers:
        vote = Vote("w1", talk.request.digest(), signer, Word.ACCEPT, number, "rest", "", "0" * 64, b"many %d" % signer)
        said += talk.hear(vote)
    return said


def test_signers_that_have_committed_with_their_votes_are_asked_for_shares_at_once():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    vote_and_commit(talk, 1, 2, 5)
    said = talk.hear(Planned("w1", b"plan"))
    ask = only(AskShare, said)
    assert (ask.attempt, ask.plan, ask.commitments) == (1, b"plan", {1: b"c1", 2: b"c2", 5: b"c5"})
    assert not [one for one in said if isinstance(one, AskCommitment)]
    assert only(Refused, talk.hear(Cancel("w1", "eve"))).reason.startswith("too late to cancel")
    assert only(AskShare, talk.after(2_000)) == ask  # as long as there is no answer
    talk.commit((1, 2, 5))  # of nobody's asking: nothing comes of it, and nobody is to blame
    assert talk.case.excluded == {}
    assert states(talk.share((1, 2, 5))) == ["signed"]


def test_where_one_has_not_committed_with_its_vote_all_are_asked_to():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    vote_and_commit(talk, 1, 2)
    talk.vote(5)
    ask = only(AskCommitment, talk.hear(Planned("w1", b"plan")))
    assert (ask.attempt, ask.signers) == (1, (1, 2, 5))
    talk.commit(ask.signers)
    assert states(talk.share(ask.signers)) == ["signed"]


def test_another_attempt_has_commitments_of_its_own():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    vote_and_commit(talk, 1, 2, 5)
    talk.hear(Planned("w1", b"plan"))
    talk.vote(3)
    ask = only(AskCommitment, talk.hear(Unable("w1", 2, 1, "it has lost its nonces")))
    assert (ask.attempt, ask.signers) == (2, (1, 3, 5))
    assert talk.commit((1, 3)) == []
    assert only(AskShare, talk.commit((5,), attempt=2) + talk.commit((1, 3), attempt=2)).plan is None


# -- the id


def test_a_request_said_twice_counts_once_and_is_answered():
    talk = Talk()
    talk.begin()
    before = talk.coordinator.snapshot()
    assert states(talk.hear(Submit(REQUEST))) == ["signing"]
    assert talk.coordinator.snapshot() == before


@pytest.mark.parametrize(
    "changes", [{"amount": "8"}, {"destination": "elsewhere"}, {"memo": "x"}, {"expires_ms": NOW + 9}]
)
def test_an_id_with_other_contents_is_refused(changes):
    talk = Talk()
    talk.begin()
    said = talk.hear(Submit(msgspec.structs.replace(REQUEST, **changes)))
    assert said == [Refused("w1", "the id was used with other contents")]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (msgspec.structs.replace(REQUEST, vault="x"), "no vault x"),
        (msgspec.structs.replace(REQUEST, lock=LOCK), "expected a lock in a cross_chain, and in no other kind"),
        (msgspec.structs.replace(REQUEST, expires_ms=NOW), "expected expires_ms after"),
    ],
)
def test_what_cannot_be_a_request_is_refused(request_, reason):
    talk = Talk()
    [refused] = talk.hear(Submit(request_))
    assert reason in refused.reason
    assert talk.case is None


def test_a_request_that_comes_after_its_time_has_expired():
    talk = Talk()
    talk.after(100_000)
    [status] = talk.hear(Submit(REQUEST))
    assert (status.state, status.unresolved) == (State.EXPIRED, False)


def test_what_has_ended_is_forgotten_only_when_it_can_do_no_harm_any_more():
    talk = Talk()
    talk.sign()
    talk.hear(Confirmed("w1", "tx"))
    talk.after(159_999)
    assert states(talk.hear(Submit(REQUEST))) == ["confirmed"]
    talk.after(1)
    assert talk.case is None
    assert states(talk.hear(Submit(REQUEST))) == ["expired"]


# -- votes


def test_rejected_when_too_few_are_left_with_the_reason_of_each():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1, 2, word=Word.REJECT, rule="alert", reason="alert a7 is open")
    talk.vote(4)
    [status] = talk.vote(3, word=Word.REJECT, rule="limit", reason="too much")
    assert status.state is State.REJECTED
    assert status.reason == ("signers 1, 2 reject (alert): alert a7 is open; signer 3 reject (limit): too much")
    assert not status.unresolved


def test_of_a_signers_votes_the_newest_counts_in_whatever_order_and_a_rejection_stays():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1, 2, word=Word.WAIT, number=1)
    talk.vote(1, 2, 3, number=2)
    assert talk.case.state is State.SIGNING
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1, 2, number=2)
    talk.vote(1, 2, word=Word.WAIT, number=1)  # overtaken
    talk.vote(3, word=Word.REJECT, number=1)
    talk.vote(3, number=2)
    assert talk.case.state is State.APPROVING
    talk.vote(4)
    assert talk.case.state is State.SIGNING


def test_votes_of_strangers_and_on_other_contents_do_not_count():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1, 2, 6, 7)
    talk.hear(Vote("w1", "f" * 64, 3, Word.ACCEPT, 1, "r", "", "0" * 64))
    assert talk.case.state is State.APPROVING


def test_words_of_people_are_handed_on_once():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    word = Approval("w1", REQUEST.digest(), "carol", True)
    assert only(Propose, talk.hear(Approved(word))).approvals == (word,)
    assert talk.hear(Approved(word)) == []
    [refused] = talk.hear(Approved(msgspec.structs.replace(word, request_digest="0" * 64)))
    assert "other contents" in refused.reason
    assert talk.hear(Approved(Approval("w2", REQUEST.digest(), "carol", True))) == [
        Refused("w2", "there is no such request")
    ]


# -- attempts


def test_a_silent_signer_is_left_out_of_the_next_attempt():
    talk = Talk()
    signers = talk.begin()
    talk.commit(signers[:2])
    talk.after(9_999)
    assert talk.case.attempt == 1
    ask = only(AskCommitment, talk.after(1))
    assert ask.attempt == 2
    assert signers[2] not in ask.signers


def test_a_signer_that_does_not_share_is_left_out_of_the_next_attempt():
    talk = Talk()
    signers = talk.begin()
    talk.commit(signers)
    talk.share(signers[1:])
    ask = only(AskCommitment, talk.after(10_000))
    assert signers[0] not in ask.signers


@pytest.mark.parametrize(
    ("lie", "how"),
    [
        (lambda s: Commitment("w1", s, 1, b"?"), "a commitment in attempt 1 that cannot be one"),
        (lambda s: Commitment("w1", s, 1, b"c other"), "two commitments in attempt 1"),
        (lambda s: Share("w1", s, 1, b"share 99"), "a share in attempt 1 that is not for this transaction"),
    ],
)
def test_a_signer_that_misbehaves_is_named_and_excluded(lie, how):
    talk = Talk()
    signers = talk.begin()
    liar = signers[0]
    event = lie(liar)
    if event.__class__ is Share:
        talk.commit(signers)
    elif event.commitment != b"?":
        talk.commit(signers[:2])
    said = talk.hear(event)
    assert only(Status, said).excluded == {liar: how}
    assert liar not in only(AskCommitment, said).signers


def test_what_belongs_to_another_attempt_or_to_nobody_changes_nothing():
    talk = Talk()
    signers = talk.begin()
    stranger = next(s for s in range(1, 6) if s not in signers)
    before = talk.coordinator.snapshot()
    talk.commit(signers, attempt=2)
    talk.commit([stranger, 99])
    talk.share(signers)  # nobody has asked for shares yet
    talk.hear(Unable("w1", signers[0], 7, "old"), Share("w9", 1, 1, b"share 1"))
    assert talk.coordinator.snapshot() == before


def test_no_more_attempts_than_allowed():
    talk = Talk()
    signers = talk.begin()
    for attempt in (1, 2, 3):
        said = talk.hear(Unable("w1", signers[0], attempt, "restarted"))
        signers = talk.case.round.signers if talk.case.round else ()
    assert states(said) == ["rejected"]
    assert "no signature in 3 attempts" in talk.case.reason


def test_without_a_quorum_it_waits_for_votes_and_asks_for_them():
    talk = Talk()
    signers = talk.begin(1, 2, 3)
    talk.vote(1, word=Word.WAIT, number=2)
    talk.hear(Unable("w1", signers[0], 1, "waits"))
    assert talk.case.round is None
    only(Propose, talk.after(2_000))
    only(AskCommitment, talk.vote(4))


def test_another_epoch_begins_the_attempt_again():
    talk = Talk()
    signers = talk.begin()
    talk.coordinator.set_quorum("v", Quorum((1, 2, 3, 4, 5), 3, 2))
    assert talk.commit(signers) == []
    ask = only(AskCommitment, talk.after(1))
    assert (ask.attempt, ask.epoch) == (2, 2)


def test_all_attempts_are_for_one_plan():
    talk = Talk()
    signers = talk.begin()
    assert talk.hear(Planned("w1", b"another")) == []
    assert only(AskCommitment, talk.hear(Unable("w1", signers[0], 1, "restarted"))).plan == b"plan"


def test_signers_take_turns():
    chosen = set()
    for n in range(40):
        talk = Talk(msgspec.structs.replace(REQUEST, memo=str(n)))
        chosen.add(talk.begin())
    assert len(chosen) == 10  # three of five


def test_what_has_no_answer_is_said_again_at_longer_intervals():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    said = [ms for ms in range(500, 40_001, 500) if talk.after(500)]
    assert said == [2_000, 6_000, 14_000, 30_000]


# -- ends


def test_expired_says_what_was_missing():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1)
    talk.vote(2, word=Word.WAIT, rule="big", reason="needs 1 of officers")
    talk.after(99_999)
    assert talk.case.state is State.APPROVING
    [status] = talk.after(1)
    assert (status.state, status.unresolved) == (State.EXPIRED, False)
    assert status.reason == (
        "not signed by 1970-01-01T00:18:20.000Z: signer 2 wait (big): needs 1 of officers; "
        "signers 3, 4, 5 gave no answer"
    )


def test_expired_for_want_of_a_plan():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    talk.vote(1, 2, 3)
    assert "no plan" in only(Status, talk.after(100_000)).reason


def test_expired_after_shares_were_asked_for_is_unresolved_until_the_chain_speaks():
    talk = Talk()
    talk.commit(talk.begin())
    status = only(Status, talk.after(100_000))
    assert (status.state, status.unresolved) == (State.EXPIRED, True)
    [status] = talk.hear(Confirmed("w1", "tx"))
    assert (status.state, status.unresolved) == (State.CONFIRMED, False)
    talk = Talk()
    talk.commit(talk.begin())
    talk.after(100_000)
    [status] = talk.hear(Void("w1", "nonce used"))
    assert (status.state, status.unresolved) == (State.EXPIRED, False)
    assert "nonce used" in status.reason
    assert talk.hear(Void("w1", "nonce used")) == []


def test_signed_and_never_confirmed_ends_unresolved():
    talk = Talk()
    talk.sign()
    talk.hear(Seen("w1", "tx"))
    talk.after(49_999)
    assert talk.case.state is State.BROADCAST
    status = only(Status, talk.after(1))
    assert (status.state, status.unresolved) == (State.EXPIRED, True)
    talk.after(10**9)
    assert talk.coordinator.open  # however long


def test_the_chain_can_refuse_for_good():
    talk = Talk()
    talk.sign()
    [status] = talk.hear(Void("w1", "double spend"))
    assert (status.state, status.reason, status.unresolved) == (State.REJECTED, "double spend", False)


def test_a_confirmation_that_cannot_be_ours_is_told_and_changes_nothing():
    talk = Talk()
    talk.hear(Submit(REQUEST))
    [refused] = talk.hear(Confirmed("w1", "tx"))
    assert "look into it" in refused.reason
    assert talk.case.state is State.APPROVING


def test_only_who_asked_cancels_and_only_before_shares_are_asked_for():
    talk = Talk()
    signers = talk.begin()
    [refused] = talk.hear(Cancel("w1", "mallory"))
    assert "only eve" in refused.reason
    talk.commit(signers)
    [refused] = talk.hear(Cancel("w1", "eve"))
    assert "too late" in refused.reason
    talk = Talk()
    talk.begin()
    [status] = talk.hear(Cancel("w1", "eve"))
    assert (status.state, status.reason) == (State.CANCELLED, "by eve")
    assert talk.hear(Cancel("w1", "eve")) == []
    assert talk.hear(Cancel("w9", "eve")) == [Refused("w9", "there is no such request")]


# -- across chains


def test_lock_here_release_there():
    talk = Talk(CROSS)
    said = talk.hear(Submit(CROSS))
    assert states(said) == ["requested"]
    assert only(PlaceLock, said).request == CROSS
    assert not [one for one in said if isinstance(one, Propose)]
    only(Propose, talk.hear(LockPlaced("w1")))
    talk = Talk(CROSS)
    talk.sign()
    only(SettleLock, talk.hear(Confirmed("w1", "tx")))
    only(SettleLock, talk.after(2_000))
    talk.hear(LockDone("w1"))
    assert talk.after(300_000) == []


@pytest.mark.parametrize("end", [lambda talk: talk.after(100_000), lambda talk: talk.hear(Cancel("w1", "eve"))])
def test_the_lock_goes_back_when_nothing_was_released(end):
    talk = Talk(CROSS)
    talk.begin()
    only(ReturnLock, end(talk))
    only(ReturnLock, talk.after(2_000))
    talk.hear(LockDone("w1"))
    assert talk.after(50_000) == []
    only(ReturnLock, talk.hear(LockPlaced("w1")))  # it was on its way


def test_a_lock_that_never_came_is_returned_all_the_same():
    talk = Talk(CROSS)
    talk.hear(Submit(CROSS))
    said = talk.after(100_000)
    assert "the other side was not locked" in only(Status, said).reason
    only(ReturnLock, said)


def test_the_lock_stays_while_a_signature_may_exist():
    talk = Talk(CROSS)
    talk.commit(talk.begin())
    assert [type(one) for one in talk.after(100_000)] == [Status]
    only(ReturnLock, talk.hear(Void("w1", "deadline over")))


# -- what is kept


def test_a_snapshot_of_something_else_is_refused():
    quorums = {"v": Quorum((1,), 1)}
    for kept in ({}, {"version": 2}, {"version": 1}, {"version": 1, "state": {"cases": 3}}):
        with pytest.raises(CustodyError, match="coordinator's snapshot"):
            Coordinator.restore(kept, quorums, Group())
    talk = Talk()
    talk.begin()
    kept = json.loads(json.dumps(talk.coordinator.snapshot()))
    with pytest.raises(CustodyError, match="vaults that are not there: v"):
        Coordinator.restore(kept, {}, Group())


@pytest.mark.parametrize(
    ("signers", "threshold"), [((1, 1, 2), 2), ((1, 2), 3), ((1, 2), 0), ((0, 1), 1), ((), 0), ((256,), 1)]
)
def test_what_is_no_quorum(signers, threshold):
    with pytest.raises(CustodyError, match="expected"):
        Quorum(signers, threshold)


# -- the form of a request

PLAIN = msgspec.to_builtins(REQUEST)


def test_a_request_is_read_as_it_was_written():
    assert parse_request(msgspec.json.encode(REQUEST)) == REQUEST
    assert parse_request(msgspec.json.encode(CROSS)) == CROSS


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "0"}, {"amount": "-1"}, {"amount": "1.5"}, {"amount": "01"}, {"amount": 7}, {"amount": "7\n"},
        {"amount": "9" * 79}, {"amount": "٣"}, {"id": ""}, {"id": "a b"}, {"id": "a\n"}, {"id": "x" * 129}, {"kind": "gift"},
        {"expires_ms": NOW}, {"expires_ms": 1.5}, {"expires_ms": 2**53}, {"not_before_ms": NOW + 5}, {"kind": "cross_chain"},
        {"kind": "escrow"}, {"kind": "escrow", "not_before_ms": NOW + 100_000}, {"memo": "a\nb"}, {"memo": "\u202e"}, {"more": 1},
        {"lock": {"vault": "w", "chain": "o", "asset": "T", "amount": "5"}},
        {"destination": "th\u200bere"}, {"amount": "1e3"}, {"memo": "x" * 281},
    ],
)  # fmt: skip
def test_what_is_no_request(changes):
    with pytest.raises(CustodyError):
        parse_request(json.dumps({**PLAIN, **changes}).encode())


@pytest.mark.parametrize(
    "blob", [b"", b"{", b"[]", b"\xff", b"[" * 10_000, b" " * 20_000, json.dumps({"id": "w1"}).encode()]
)
def test_what_is_not_even_close(blob):
    with pytest.raises(CustodyError):
        parse_request(blob)


def test_any_other_contents_have_another_digest():
    others = [
        REQUEST,
        CROSS,
        *(msgspec.structs.replace(REQUEST, **{f: PLAIN[f] + type(PLAIN[f])(1)}) for f in PLAIN if f != "kind"),
    ]
    assert len({other.digest() for other in others}) == len(others)
