"""What stands, in one compacted topic: what its newest records say is all that commands need to read."""

import pytest
from custodyoffice import Office

from streams.custody import asks
from streams.custody.mail import STANDING
from streams.custody.view import View


@pytest.fixture
def here(tmp_path):
    one = Office(tmp_path, ("solana",), audit=True)
    one.list_destination("solana")
    one.desk_ask(asks.encode(asks.AskFunds("fund", "alice-solana", "5")))
    one.pass_time(8_000)
    yield one
    one.close()


def compacted(here):
    """What Kafka keeps of the topic in the end."""
    newest = {}
    for record in here.topics[STANDING]:
        newest[record.key] = record.value
    return {key: value for key, value in newest.items() if value is not None}


def view(here):
    found = View(here.roster)
    for value in compacted(here).values():
        found.take(value)
    return found


def test_it_says_what_all_letters_together_say(here):
    asked = [here.ask("solana"), here.ask("solana", destination=here.stranger("solana", 7))]
    here.until(asked[0], "confirmed")
    here.pass_time(10_000)
    everything = View(here.roster)
    for topic in ("m1cep.custody.rounds.v1", "m1cep.custody.releases.v1"):
        for record in here.topics[topic]:
            everything.take(record.value)
    found = view(here)
    assert found.vaults == everything.vaults
    assert found.audit == everything.audit
    assert found.signed_heads[-1] == everything.signed_heads[-1]
    for request in asked:
        now, ever = found.requests[request.id], everything.requests[request.id]
        assert now.request == request
        assert (now.state, now.status.reason) == (ever.state, ever.status.reason)
        assert {n: v.word for n, v in now.votes.items()} == {n: v.word for n, v in ever.votes.items()}


def test_what_waits_for_people_shows_who_has_approved_and_why_signers_wait(tmp_path):
    here = Office(tmp_path, ("bitcoin",))
    here.list_destination("bitcoin")
    here.desk_ask(asks.encode(asks.AskFunds("fund", "alice-bitcoin", "0.5")))
    here.pass_time(8_000)
    request = here.ask("bitcoin", amount="2000000")
    here.pass_time(1_000)
    here.approve(request, "bob")
    here.pass_time(3_000)
    stands = view(here).requests[request.id]
    assert [one.approver for one in stands.approvals] == ["bob"]
    assert {number: vote.word for number, vote in stands.votes.items()} == dict.fromkeys((1, 2, 3), "wait")
    assert "1 missing" in stands.votes[1].reason
    here.close()


def test_what_is_long_over_is_taken_off(here):
    request = here.ask("solana")
    here.until(request, "confirmed")
    assert request.id in view(here).requests
    here.pass_time(2 * 3_600_000, 60_000)
    assert request.id not in view(here).requests
    assert len(compacted(here)) < 5


def test_after_a_crash_of_the_coordinator_it_is_written_again(here):
    request = here.ask("solana")
    here.until(request, "confirmed")
    here.topics[STANDING].clear()
    here.coordinator.restart()
    here.pass_time(2_000)
    assert view(here).requests[request.id].state == "confirmed"
    assert "alice-solana" in view(here).vaults


def test_without_a_quorum_a_request_expires_and_says_when_and_who_is_missing(here):
    """n - m + 1 signers are away."""
    for number in (1, 2):
        here.actors.remove(here.signers[number])
    request = here.ask("solana", expires_ms=here.now_ms + 3_000)
    reason = here.until(request, "expired").reason
    assert "not signed by 2027-01-15T08:00:" in reason
    assert "signers 1, 2 gave no answer" in reason
