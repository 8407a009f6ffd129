"""A signer, step by step: what it answers to a coordinator that may be wrong, late, or lying."""

import copy
import json
import pickle
from hashlib import sha256

import msgspec
import pytest
from custodyworld import POLICY, G, P, World, inputs_of

from m1cep.custody.policy import Approval, parse_policy
from m1cep.custody.policy.events import AlertClosed, AlertRaised, Severity, Spending, Spent, VaultBalance
from m1cep.custody.request import Kind
from m1cep.custody.requests import Quorum, State
from m1cep.custody.requests.messages import (
    AskCommitment,
    AskShare,
    Commitment,
    Propose,
    Share,
    Status,
    Tick,
    Unable,
    Vote,
    Word,
)
from m1cep.custody.signer import NonceBox, Signer
from m1cep.errors import CustodyError

OTHERS = {2: pow(G, 77, P).to_bytes(8, "big"), 3: pow(G, 78, P).to_bytes(8, "big")}


PLAN = next(b"plan %d" % n for n in range(9) if inputs_of(b"plan %d" % n) == 1)


class Talk:
    """Signer 1 of five, of which three are needed."""

    def __init__(self, **changes):
        self.world = World(1)
        self.world.pass_time(10)
        plain = {
            "kind": Kind.TRANSFER,
            "destination": "there",
            "amount": "7",
            "not_before_ms": 0,
            "lock": None,
            "account": "a",
        }
        self.request = self.world.ask(**{**plain, "expires_ms": self.world.now_ms + 60_000, **changes})
        self.digest, self.signer = self.request.digest(), self.world.signers[1]

    def say(self, event):
        return self.signer.handle(event)

    def vote(self):
        [vote] = self.say(Propose(self.request, 1))
        return vote

    def ask(self, attempt=1, signers=(1, 2, 3), digest=None, epoch=1, plan=PLAN):
        return AskCommitment(self.request.id, digest or self.digest, epoch, attempt, plan, signers)

    def commit(self, **changes):
        [answer] = self.say(self.ask(**changes))
        return answer

    def ask_share(self, commitment, attempt=1, epoch=1, **others):
        commitments = {1: commitment.commitment, **OTHERS, **{int(k[1:]): v for k, v in others.items()}}
        return AskShare(self.request.id, self.digest, epoch, attempt, commitments)

    def restart(self):
        kept = json.loads(json.dumps(self.signer.snapshot()))
        self.signer = Signer.restore(kept, self.world.quorums, self.world.policy, self.world.secrets[1])

    def alert(self):
        return self.say(AlertRaised("a7", "takeover", Severity.CRITICAL, "a", self.world.now_ms))


def signed(talk):
    talk.vote()
    commitment = talk.commit()
    ask = talk.ask_share(commitment)
    [share] = talk.say(ask)
    assert isinstance(share, Share)
    return ask, share


def refused(answers, why):
    unable = answers[-1]
    assert isinstance(unable, Unable), unable
    assert why in unable.reason
    return True


# -- each nonce once


def test_the_same_question_gets_the_same_answer_and_no_second_signature():
    talk = Talk()
    ask, share = signed(talk)
    for _ in range(3):
        assert talk.say(ask) == [share]
    assert len(talk.world.watch.transcript) == 1
    assert [type(answer) for answer in talk.say(talk.ask())] == [Commitment]


def test_another_question_in_the_same_attempt_is_refused():
    talk = Talk()
    ask, _ = signed(talk)
    commitment = Commitment("r", 1, 1, ask.commitments[1])
    assert refused(talk.say(talk.ask_share(commitment, _2=OTHERS[3])), "was given in this attempt")
    assert len(talk.world.watch.transcript) == 1


def test_the_same_first_question_gets_the_same_commitment():
    talk = Talk()
    talk.vote()
    assert talk.commit() == talk.commit()
    assert refused([talk.commit(signers=(1, 2, 4))], "other signers")
    assert refused([talk.commit(plan=b"plan 9")], "another plan")


def test_after_a_restart_an_attempt_under_way_is_given_up_and_the_next_goes_well():
    talk = Talk()
    talk.vote()
    commitment = talk.commit()
    talk.restart()
    assert refused(talk.say(talk.ask_share(commitment)), "given up")
    assert refused([talk.commit()], "given up")
    second = talk.commit(attempt=2)
    assert second.commitment != commitment.commitment
    [share] = talk.say(talk.ask_share(second, attempt=2))
    assert isinstance(share, Share)


def test_after_a_restart_a_share_that_was_given_is_given_again():
    talk = Talk()
    ask, share = signed(talk)
    talk.restart()
    assert talk.say(ask) == [share]
    assert refused(talk.say(talk.ask_share(Commitment("r", 1, 1, ask.commitments[1]), _2=OTHERS[3])), "was given")


def test_a_new_attempt_ends_the_one_before():
    talk = Talk()
    talk.vote()
    first = talk.commit()
    talk.commit(attempt=2)
    assert talk.say(talk.ask_share(first)) == []
    assert talk.say(talk.ask(attempt=1)) == []
    assert talk.world.watch.transcript == []


def test_another_epoch_ends_the_attempt_and_old_messages_are_refused():
    talk = Talk()
    talk.vote()
    commitment = talk.commit()
    talk.signer.set_quorum("v", Quorum((1, 2, 3, 4, 5), 3, 2))
    assert refused(talk.say(talk.ask_share(commitment)), "expected epoch 2 of the key, got epoch 1")
    assert refused(talk.say(talk.ask_share(commitment, epoch=2)), "given up")
    assert refused([talk.commit(attempt=2)], "expected epoch 2")
    [vote] = talk.say(Propose(talk.request, 1))
    assert (vote.word, vote.rule) == (Word.WAIT, "epoch")


def test_nonces_are_taken_once_and_never_replaced_or_written_down():
    box = NonceBox()
    box.put("r", 1, "secret-1")
    with pytest.raises(CustodyError, match="nonces for attempt 1"):
        box.put("r", 1, "secret-2")
    box.put("r", 2, "secret-2")
    assert box.take("r", 1) is None
    assert box.take("r", 2) == "secret-2"
    assert box.take("r", 2) is None
    box.put("q", 1, "secret-3")
    assert "secret" not in repr(box)
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(CustodyError, match="not written down"):
            write(box)


def test_a_snapshot_holds_no_nonce():
    talk = Talk()
    talk.vote()
    talk.commit()
    [nonce] = [pair for _, pair in talk.signer._nonces._pairs.values()]
    assert str(nonce) not in json.dumps(talk.signer.snapshot())


# -- the first attempt without a round of its own: commitments came with the votes

TWO_INPUTS = next(b"plan %d" % n for n in range(9) if inputs_of(b"plan %d" % n) == 2)


def at_once(talk, vote, plan=PLAN, attempt=1, **others):
    ask = talk.ask_share(vote, attempt, **others)
    return msgspec.structs.replace(ask, plan=plan)


def test_a_vote_for_it_commits_and_the_share_is_given_at_once_and_only_to_the_same_question():
    talk = Talk()
    vote = talk.vote()
    ask = at_once(talk, vote)
    [share] = talk.say(ask)
    assert isinstance(share, Share)
    assert talk.say(ask) == [share]
    for other in (at_once(talk, vote, _2=OTHERS[3]), at_once(talk, vote, b"plan 9"), talk.ask_share(vote)):
        assert refused(talk.say(other), "was given in this attempt")
    assert refused(talk.say(at_once(talk, vote, attempt=2)), "were given up")
    assert len(talk.world.watch.transcript) == 1
    talk.restart()
    assert talk.say(ask) == [share]


def test_the_same_proposal_gets_the_same_commitment_and_a_vote_against_it_has_none():
    talk = Talk()
    assert talk.vote() == talk.vote()
    [against] = talk.alert()
    assert (against.word, against.commitment) == (Word.REJECT, b"")
    talk = Talk(amount="2000")  # waits for people
    assert (talk.vote().word, talk.vote().commitment) == (Word.WAIT, b"")


def test_the_votes_nonces_are_gone_after_a_restart_an_attempt_with_rounds_and_another_epoch():
    talk = Talk()
    vote = talk.vote()
    talk.restart()
    assert refused(talk.say(at_once(talk, vote)), "were given up")
    assert isinstance(talk.say(talk.ask_share(talk.commit(attempt=2), attempt=2))[0], Share)

    talk = Talk()
    vote = talk.vote()
    talk.commit()
    assert refused(talk.say(at_once(talk, vote, attempt=2)), "were given up")

    talk = Talk()
    vote = talk.vote()
    talk.signer.set_quorum("v", Quorum((1, 2, 3, 4, 5), 3, 2))
    assert refused(talk.say(msgspec.structs.replace(at_once(talk, vote), epoch=2)), "were given up")
    assert talk.world.watch.transcript == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": b"?"}, "the plan is refused"),
        ({"plan": TWO_INPUTS}, "is not enough"),
        ({"commitments": {2: OTHERS[2], 3: OTHERS[3], 4: OTHERS[3]}}, "different signers"),
        ({"commitments": {1: OTHERS[2], **OTHERS}}, "expected the commitment of the vote"),
        ({"commitments": {1: b"", **OTHERS}}, "expected the commitment of the vote"),
        ({"digest": "f" * 64}, "other contents"),
        ({"epoch": 7}, "expected epoch 1"),
    ],
)
def test_what_is_wrong_is_refused_and_the_votes_nonces_stay(change, why):
    talk = Talk()
    vote = talk.vote()
    assert refused(talk.say(msgspec.structs.replace(at_once(talk, vote), **change)), why)
    assert isinstance(talk.say(at_once(talk, vote))[0], Share)


def test_too_few_signers_get_no_share_at_once():
    talk = Talk()
    vote = talk.vote()
    few = {1: vote.commitment, 2: OTHERS[2]}
    assert refused(talk.say(msgspec.structs.replace(at_once(talk, vote), commitments=few)), "expected 3 signers, got 2")


def test_an_alert_after_the_vote_is_in_the_way_of_a_share_at_once():
    talk = Talk()
    vote = talk.vote()
    talk.alert()
    assert refused(talk.say(at_once(talk, vote)), "were given up")
    assert talk.world.watch.transcript == []


def test_a_commitment_that_cannot_be_one_costs_the_votes_nonces():
    talk = Talk()
    vote = talk.vote()
    assert refused(talk.say(at_once(talk, vote, _2=b"?")), "the commitments are refused")
    assert refused(talk.say(at_once(talk, vote)), "no nonces")
    assert talk.world.watch.transcript == []


def test_a_signer_that_cannot_commit_yet_votes_all_the_same():
    talk = Talk()
    talk.world.unprepared.add(1)
    vote = talk.vote()
    assert (vote.word, vote.commitment) == (Word.ACCEPT, b"")
    assert isinstance(talk.say(talk.ask_share(talk.commit()))[0], Share)


def test_a_snapshot_holds_no_nonce_of_a_vote():
    talk = Talk()
    talk.vote()
    [[nonce]] = [pair for _, pair in talk.signer._nonces._pairs.values()]
    assert str(nonce) not in json.dumps(talk.signer.snapshot())


# -- one content under one id


def test_another_transaction_under_the_same_id_is_refused_for_ever():
    talk = Talk()
    signed(talk)
    talk.restart()
    assert refused([talk.commit(attempt=2, plan=b"plan 2")], "another transaction was signed under this id")
    second = talk.commit(attempt=2)
    [share] = talk.say(talk.ask_share(second, attempt=2))
    assert isinstance(share, Share)


def test_a_plan_that_has_come_to_mean_another_transaction_is_not_signed(monkeypatch):
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    monkeypatch.setattr(talk.world.secrets[1], "derive", lambda *_: [b"pay somebody else"])
    assert refused(talk.say(talk.ask_share(mine)), "means another transaction now")


def test_an_id_with_other_contents_is_refused():
    talk = Talk()
    talk.vote()
    other = msgspec.structs.replace(talk.request, amount="8")
    [vote] = talk.say(Propose(other, 1))
    assert (vote.word, vote.digest) == (Word.REJECT, other.digest())
    assert refused([talk.commit(digest=other.digest())], "other contents")
    assert talk.signer.known(talk.request.id).vote.word is Word.ACCEPT


@pytest.mark.parametrize(
    ("signers", "why"),
    [
        ((1, 2), "expected 3 signers, got 2"),
        ((2, 3, 4), "different signers"),
        ((1, 2, 9), "of the vault"),
        ((1, 2, 2), "different"),
    ],
)
def test_too_few_duplicate_or_strange_signers_are_refused(signers, why):
    talk = Talk()
    talk.vote()
    assert refused([talk.commit(signers=signers)], why)


def test_commitments_that_are_not_those_of_the_attempt_are_refused_and_the_nonces_stay():
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    forged = Commitment("r", 1, 1, OTHERS[2])
    assert refused(talk.say(talk.ask_share(forged)), "mine among them")
    assert refused(talk.say(talk.ask_share(mine, _4=OTHERS[2])), "mine among them")
    assert refused([talk.commit(attempt=2, plan=b"?")], "the plan is refused")
    assert isinstance(talk.say(talk.ask_share(mine))[0], Share)


def test_a_commitment_that_cannot_be_one_costs_the_attempt():
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    assert refused(talk.say(talk.ask_share(mine, _2=b"?")), "the commitments are refused")
    assert refused(talk.say(talk.ask_share(mine)), "given up")
    assert talk.world.watch.transcript == []


def test_a_request_that_was_never_proposed_is_not_signed():
    talk = Talk()
    assert talk.say(talk.ask()) == []


# -- votes


def test_an_alert_rejects_before_and_after_the_vote_and_between_the_rounds():
    talk = Talk()
    talk.alert()
    vote = talk.vote()
    assert (vote.word, vote.rule) == (Word.REJECT, "alert")
    assert "a7" in vote.reason
    talk = Talk()
    assert talk.vote().word is Word.ACCEPT
    [vote] = talk.alert()
    assert (vote.word, vote.number) == (Word.REJECT, 2)
    assert talk.say(AlertClosed("a7", "carol", 1)) == []  # rejected for good
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    talk.alert()
    assert refused(talk.say(talk.ask_share(mine)), "given up")
    assert talk.world.watch.transcript == []


def test_what_was_changed_unheard_is_found_when_the_share_is_asked_for():
    """The facts say no although no vote has been sent about it: the decision is made again at the last moment."""
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    talk.signer.facts.apply(AlertRaised("a7", "takeover", Severity.CRITICAL, "a", 1))
    vote, unable = talk.say(talk.ask_share(mine))
    assert isinstance(vote, Vote)
    assert refused([unable], "a7")


def test_what_waits_is_voted_on_when_its_time_has_come():
    talk = Talk(kind=Kind.TIME_LOCK, not_before_ms=1_020_000)
    assert talk.vote().word is Word.WAIT
    assert talk.say(Tick(1_019_999)) == []
    assert talk.say(Tick(1_020_500)) == []  # looked at once a second
    [vote] = talk.say(Tick(1_021_000))
    assert vote.word is Word.ACCEPT


def test_an_escrow_waits_for_the_alert_to_be_closed():
    talk = Talk(kind=Kind.ESCROW, not_before_ms=1_000_011)
    talk.alert()
    talk.say(Tick(1_005_000))
    assert talk.vote().word is Word.WAIT
    [vote] = talk.say(AlertClosed("a7", "carol", 1))
    assert vote.word is Word.ACCEPT


def test_the_same_proposal_gets_the_same_vote():
    talk = Talk()
    assert talk.vote() == talk.vote()


def test_a_new_policy_is_a_new_vote():
    talk = Talk()
    talk.vote()
    [vote] = talk.signer.set_policy(parse_policy(POLICY.replace("amount_above: 1000", "amount_above: 6")))
    assert (vote.word, vote.rule) == (Word.WAIT, "big")


def test_two_requests_cannot_both_pass_under_one_balance():
    talk = Talk()
    talk.say(VaultBalance("v", "chain", "COIN", "10", 2))
    assert talk.vote().word is Word.ACCEPT
    second = msgspec.structs.replace(talk.request, id="second")
    [vote] = talk.say(Propose(second, 1))
    assert (vote.word, vote.rule) == (Word.REJECT, "solvency")


def status(talk, state):
    return Status(talk.request.id, talk.digest, state, 1, "so it is", talk.world.now_ms)


def test_what_has_ended_without_a_share_is_free_again():
    talk = Talk()
    talk.vote()
    talk.commit()
    talk.say(status(talk, State.CANCELLED))
    assert talk.signer.facts.spending(talk.request.id).spent is Spent.RETURNED
    assert refused([talk.commit(attempt=2)], "cancelled")


@pytest.mark.parametrize(
    "end", [lambda talk: talk.say(status(talk, State.EXPIRED)), lambda talk: talk.say(Tick(2_000_000))]
)
def test_what_has_ended_after_a_share_stays_reserved_until_the_chain_speaks(end):
    talk = Talk()
    signed(talk)
    end(talk)
    spent = talk.signer.facts.spending(talk.request.id)
    assert spent.spent is Spent.RESERVED
    talk.say(msgspec.structs.replace(spent, spent=Spent.RETURNED))
    assert talk.signer.facts.spending(talk.request.id).spent is Spent.RETURNED
    assert isinstance(spent, Spending)


def test_after_its_expiry_nothing_is_signed_and_in_the_end_it_is_forgotten():
    talk = Talk()
    talk.vote()
    mine = talk.commit()
    [vote] = talk.say(Tick(talk.request.expires_ms))
    assert (vote.word, vote.rule) == (Word.REJECT, "expired")
    assert refused(talk.say(talk.ask_share(mine)), "given up")
    talk.say(Tick(talk.request.expires_ms + 3_600_000))
    assert talk.signer.known(talk.request.id) is None
    assert talk.vote().word is Word.REJECT


def test_what_was_reserved_is_free_again_though_the_signer_was_away_until_long_after_the_expiry():
    talk = Talk()
    talk.vote()
    talk.restart()
    talk.say(Tick(talk.request.expires_ms + 3_600_000))
    assert talk.signer.known(talk.request.id) is None
    assert talk.signer.facts.spending(talk.request.id).spent is Spent.RETURNED


def test_a_snapshot_of_something_else_is_refused():
    talk = Talk()
    talk.vote()
    good = talk.signer.snapshot()
    for kept in (
        {},
        {**good, "version": 9},
        {**good, "memory": {"known": 3}},
        {**good, "facts": {}},
        {**good, "number": "x"},
    ):
        with pytest.raises(CustodyError, match="snapshot"):
            Signer.restore(kept, talk.world.quorums, talk.world.policy, talk.world.secrets[1])
    with pytest.raises(CustodyError, match="vaults that are not there: v"):
        Signer.restore(good, {}, talk.world.policy, talk.world.secrets[1])


def test_words_that_nobody_gave_do_not_take_the_place_of_those_that_count():
    talk = Talk(amount="1001")  # needs one of the officers
    forged = [Approval(talk.request.id, talk.digest, "carol", True, f"{n:04x}") for n in range(60)]
    [vote] = talk.say(Propose(talk.request, 1, tuple(forged)))
    assert vote.word is Word.WAIT
    good = Approval(talk.request.id, talk.digest, "carol", True)
    signature = sha256(talk.world.policy.people["carol"].encode() + good.message()).hexdigest()
    [vote] = talk.say(Propose(talk.request, 1, (msgspec.structs.replace(good, signature=signature),)))
    assert vote.word is Word.ACCEPT


def test_a_request_that_cannot_be_one_is_rejected_and_not_remembered():
    talk = Talk()
    wrong = msgspec.structs.replace(talk.request, not_before_ms=5)
    [vote] = talk.say(Propose(wrong, 1))
    assert (vote.word, vote.rule) == (Word.REJECT, "request")
    assert talk.signer.known(wrong.id) is None
