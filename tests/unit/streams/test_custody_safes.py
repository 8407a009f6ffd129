"""Safes: each signer is an owner with a key of its own; released by coordinator and signers as any other vault."""

import pytest
from custodyoffice import SOME, Office, pen, seed_of

from m1cep.custody.frost.hidden import Secret
from m1cep.custody.requests import Timing
from m1cep.errors import CustodyError
from streams.custody import asks
from streams.custody.derive import chain_of
from streams.custody.mail import REQUESTS
from streams.custody.owners import apart, owner_address
from streams.custody.roster import Vault

QUICK = Timing(resend_ms=500, round_ms=2_000)


@pytest.fixture
def here(tmp_path, safe_home, monkeypatch):
    monkeypatch.setenv("M1CEP_HOME", str(safe_home))
    one = Office(tmp_path, ("safe",), timing=QUICK)
    one.list_destination("safe")
    one.pass_time(1_000)
    one.desk_ask(asks.encode(asks.AskFunds("fund", "alice-safe", "5")))
    one.pass_time(6_000)
    yield one
    one.close()


def paid(here, number=0):
    return here.nodes["safe"].machine.balance(here.stranger("safe", number))


def test_what_is_approved_is_paid_once_by_m_of_the_owners(here):
    request = here.ask("safe")
    here.until(request, "confirmed")
    here.submit(request)
    here.pass_time(5_000)
    assert paid(here) == SOME["safe"]
    second = here.ask("safe")
    here.until(second, "confirmed")
    assert paid(here) == 2 * SOME["safe"]


@pytest.mark.parametrize("away", [1, 3])
def test_one_owner_may_be_away_and_two_may_not(here, away):
    here.actors.remove(here.signers[away])
    here.until(here.ask("safe"), "confirmed")
    here.actors.remove(here.signers[2])
    assert "gave no answer" in here.until(here.ask("safe", expires_ms=here.now_ms + 5_000), "expired").reason


def test_policy_and_whitelist_hold_for_it(here):
    assert (
        "unknown-destination" in here.until(here.ask("safe", destination=here.stranger("safe", 7)), "rejected").reason
    )
    assert paid(here, 7) == 0


def test_an_owner_that_signs_something_else_is_named(here, monkeypatch):
    monkeypatch.setattr(here.signers[2].machine._secrets, "sign", lambda *_: b"\x00\x00\x00\x41" + bytes(65))
    for _ in range(4):
        found = here.until(here.ask("safe"), "confirmed")
        if found.excluded:
            break
    assert "not for this transaction" in found.excluded[2]


def test_an_owner_that_has_lost_its_memory_signs_nothing_that_was_asked_for_before(here):
    for one in here.signers.values():
        here.actors.remove(one)
    request = here.ask("safe", expires_ms=here.now_ms + 10_000)
    here.pass_time(1_000)
    for number, one in here.signers.items():
        one.kept = (dict.fromkeys(one.topics, 0), None)
        one.restart()
        here.actors.append(here.signers[number])
    here.until(request, "expired", "rejected")
    assert paid(here) == 0
    here.until(here.ask("safe"), "confirmed")


@pytest.mark.parametrize("state", ["approving", "signing", "signed", "broadcast"])
def test_everybody_restarted_in_each_state(here, state):
    request = here.ask("safe")
    for _ in range(200):
        for actor in here.actors:
            here.step(actor)
        if any(one.state == state for one in here.said(request.id)):
            break
        here.now_ms += 20
    for actor in here.actors:
        actor.restart()
    here.until(request, "confirmed")
    assert paid(here) == SOME["safe"]


def test_there_is_no_shared_key_to_make(here):
    here.post(pen("bob").write(REQUESTS, "x", "desk", asks.encode(asks.AskCeremony("k", "keygen", "alice-safe"))))
    here.pass_time(1_000)
    said = [asks.parse_said(letter.body) for letter in here.letters() if letter.about == "desk"]
    (answer,) = [one for one in said if isinstance(one, asks.Answered) and one.id == "k"]
    assert "have no shared key" in answer.reason


def test_a_roster_with_another_owner_in_its_name_is_refused_by_a_signer(here):
    here.roster.vaults["alice-safe"].owners[1] = owner_address(Secret(seed_of("mallory")), "alice-safe")
    with pytest.raises(CustodyError, match="has another owner 1"):
        here.signers[1].restart()


def test_owners_are_of_safes_and_one_for_each_signer():
    about = {"account": "alice", "signers": (1, 2), "threshold": 2}
    for chain, owners in (("safe:1", {}), ("safe:1", {1: "0x" + "1" * 40}), ("evm:1", {1: "0x" + "1" * 40})):
        with pytest.raises(ValueError, match="has owners, one for each signer"):
            Vault(chain=chain, owners=owners, **about)


def test_what_is_no_chain_and_what_are_no_signatures():
    with pytest.raises(CustodyError, match="is no chain"):
        chain_of("safe:mainnet")
    for data in (b"", b"1", bytes(66)):
        with pytest.raises(CustodyError, match="65 bytes"):
            apart(data)
