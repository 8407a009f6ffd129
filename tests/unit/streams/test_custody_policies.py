"""Another policy, signed by two persons, over topics in memory."""

import msgspec
import pytest
from custodyoffice import Office, pen, policy_text

from m1cep.custody.policy import parse_policy
from m1cep.errors import CustodyError, EngineError
from streams.custody import asks, policies
from streams.custody.mail import REQUESTS, ROUNDS
from streams.custody.policies import newest_policy, signed_change
from streams.custody.view import View

OLD = policy_text()
NEW = OLD.replace("version: 1", "version: 2").replace("amount_above: 1000000", "amount_above: 10")


@pytest.fixture
def here(tmp_path):
    one = Office(tmp_path, ("bitcoin",))
    one.list_destination("bitcoin")
    one.desk_ask(asks.encode(asks.AskFunds("fund", "alice-bitcoin", "0.5")))
    one.pass_time(6_000)
    yield one
    one.close()


def want(here, by, new=NEW, old=OLD):
    words = signed_change(parse_policy(old).hash, new, pen(by))
    here.post(pen(by).write(REQUESTS, "policy", "policy", policies.encode(words)))
    here.pass_time(1_000)
    return stands(here)


def stands(here):
    view = View(here.roster)
    for one in here.topics["m1cep.custody.releases.v1"]:
        view.take(one.value)
    return view.policy


def held(here):
    return {n: here.signers[n].machine._policy.version for n in here.signers}


def test_when_two_have_signed_it_every_signer_goes_by_it(here):
    assert here.until(here.ask("bitcoin"), "confirmed")
    assert want(here, "bob").pending == {parse_policy(NEW).hash: ("bob",)}
    assert held(here) == {1: 1, 2: 1, 3: 1}
    found = want(here, "carol")
    assert found.version == 2
    assert set(found.signers.values()) == {parse_policy(NEW).hash}
    assert held(here) == {1: 2, 2: 2, 3: 2}
    request = here.ask("bitcoin")  # allowed until now, and now for people
    here.pass_time(5_000)
    assert here.status(request.id).state == "approving"


def test_one_person_twice_is_one_person(here):
    want(here, "bob")
    found = want(here, "bob")
    assert found.pending == {parse_policy(NEW).hash: ("bob",)}
    assert found.version == 1


@pytest.mark.parametrize(
    ("by", "new", "reason"),
    [
        ("alice", NEW, "alice is not of group officers"),
        ("bob", NEW.replace("version: 2", "version: 3"), "expected version 2"),
        ("bob", OLD, "expected version 2"),
    ],
)
def test_what_is_not_taken_says_why(here, by, new, reason):
    assert reason in want(here, by, new).refused
    assert want(here, "carol").pending == {parse_policy(NEW).hash: ("carol",)}


def test_a_word_for_a_change_of_another_policy_is_not_taken(here):
    assert "the present policy is" in want(here, "bob", old=NEW).refused


def test_in_the_name_of_another_it_is_no_word_at_all(here):
    words = signed_change(parse_policy(OLD).hash, NEW, pen("carol"))
    here.post(pen("bob").write(REQUESTS, "policy", "policy", policies.encode(words)))
    here.pass_time(500)
    assert "in the own name" in here.refused[0]


def test_a_coordinator_alone_changes_no_policy(here):
    """It sends a change with one signature, or with one that was made for another text."""
    one = signed_change(parse_policy(OLD).hash, NEW, pen("bob")).approval
    other = msgspec.structs.replace(
        signed_change(parse_policy(OLD).hash, NEW + "# \n", pen("carol")).approval, new=one.new
    )
    for approvals in ((one,), (one, one), (one, other)):
        words = policies.ChangePolicy(NEW, approvals)
        here.post(pen("coordinator").write(ROUNDS, "policy", "policy", policies.encode(words)))
    here.pass_time(1_000)
    assert held(here) == {1: 1, 2: 1, 3: 1}
    said = [one for one in here.letters(ROUNDS) if (one.sender, one.about) == ("signer-1", "policy")]
    reasons = [policies.decode(one.body).reason for one in said]
    assert all("expected 2 of officers" in reason for reason in reasons)
    assert len(reasons) == 3


def test_who_was_away_takes_it_later_and_keeps_it_over_restarts(here):
    here.actors.remove(here.signers[3])
    want(here, "bob"), want(here, "carol")
    here.actors.append(here.signers[3])
    here.pass_time(1_000)
    for one in here.signers.values():
        one.restart()
    here.coordinator.restart()
    here.pass_time(1_000)
    assert held(here) == {1: 2, 2: 2, 3: 2}
    assert stands(here).version == 2
    third = NEW.replace("version: 2", "version: 3")
    want(here, "bob", third, NEW)
    assert want(here, "carol", third, NEW).version == 3


def test_after_a_restart_the_newer_of_file_and_topics_counts():
    old, new = parse_policy(OLD), parse_policy(NEW)
    assert newest_policy(old, "") is old
    assert newest_policy(old, NEW).hash == new.hash
    assert newest_policy(new, OLD) is new
    with pytest.raises(CustodyError, match="put the signed one there"):
        newest_policy(old, OLD + "# another\n")


def test_a_signer_does_not_start_with_a_file_that_is_another_policy_of_its_version(here, monkeypatch):
    want(here, "bob"), want(here, "carol")
    monkeypatch.setattr("custodyoffice.office_policy", lambda: parse_policy(NEW + "# another\n"))
    with pytest.raises(EngineError, match="put the signed one there"):
        here.signers[1].restart()
