"""Releases from being asked for to the chain: a coordinator, three signers, real chains, topics in memory."""

import json
import random
import re

import msgspec
import pytest
from custodyoffice import CHAINS, FUNDS, SOME, Office, pen
from eth_utils import to_checksum_address

from m1cep.custody.audit import Head, verify
from m1cep.custody.chains.interface import Simulation
from m1cep.custody.policy.events import AlertRaised, LockStands, Severity
from m1cep.custody.request import Kind, Lock
from m1cep.custody.requests import Timing, encode
from m1cep.custody.requests.messages import Submit, Vote, Word
from m1cep.errors import EngineError
from streams.custody import asks
from streams.custody.journal import NAME, read_lines
from streams.custody.locks import Standing
from streams.custody.mail import REQUESTS, ROUNDS
from streams.custody.view import View

QUICK = Timing(resend_ms=500, round_ms=2_000)
KINDS = ("bitcoin", "solana", "evm")


@pytest.fixture
def office(tmp_path):
    made = []

    def make(*kinds, **options):
        one = Office(tmp_path, kinds, **options)
        made.append(one)
        for kind in kinds:
            one.list_destination(kind)
            one.desk_ask(asks.encode(asks.AskFunds(f"fund-{kind}", f"alice-{kind}", FUNDS[kind])))
        one.pass_time(8_000)
        return one

    yield make
    for one in made:
        one.close()


def crossing(here, **changes):
    """Ether is released against bitcoin that are locked."""
    lock = Lock("alice-bitcoin", CHAINS["bitcoin"], "BTC", changes.pop("locked", "40000"))
    return here.ask("evm", kind=Kind.CROSS_CHAIN, lock=lock, **changes)


class TestReleases:
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_approved_is_paid_on_its_chain_once(self, office, kind):
        here = office(kind)
        request = here.ask(kind)
        assert here.until(request, "confirmed").reason.startswith("transaction ")
        here.submit(request)
        here.pass_time(5_000)
        assert here.paid(kind) == SOME[kind]
        assert here.refused == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_many_from_one_vault_at_a_time(self, office, kind):
        here = office(kind)
        wanted = [here.ask(kind) for _ in range(4)]
        for request in wanted:
            here.until(request, "confirmed")
        assert here.paid(kind) == 4 * SOME[kind]

    def test_a_large_one_waits_for_its_people(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", amount="2000000")
        here.pass_time(5_000)
        assert here.status(request.id).state == "approving"
        here.approve(request, "bob")
        here.pass_time(5_000)
        assert here.status(request.id).state == "approving"
        here.approve(request, "carol")
        here.until(request, "confirmed")
        assert here.paid("bitcoin") == 2_000_000

    def test_one_whom_people_refuse_is_rejected_and_says_by_whom(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", amount="2000000")
        here.approve(request, "bob", approve=False)
        assert "refused by bob" in here.until(request, "rejected").reason

    def test_to_an_address_that_is_not_listed_it_is_rejected_with_a_reason_that_several_signers_share_said_once(
        self, office
    ):
        here = office("solana")
        request = here.ask("solana", destination=here.stranger("solana", 7))
        reason = here.until(request, "rejected").reason
        assert re.match(r"signers \d, \d(, \d)* reject \(unknown-destination\): ", reason), reason
        assert reason.count(request.destination) == 1
        assert here.paid("solana", 7) == 0

    def test_with_an_open_alert_on_the_account_it_is_rejected_with_the_alerts_id(self, office):
        here = office("evm")
        here.fact(AlertRaised("alert-17", "account-takeover", Severity.CRITICAL, "alice", here.now_ms))
        here.pass_time(1_000)
        assert "alert-17 (account-takeover" in here.until(here.ask("evm"), "rejected").reason

    def test_more_than_the_vault_has_is_rejected(self, office):
        here = office("solana")
        assert "is free" in here.until(here.ask("solana", amount=str(50 * 10**9)), "rejected").reason

    def test_what_its_people_forget_expires(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", amount="2000000", expires_ms=here.now_ms + 6_000)
        assert "2 of officers" in here.until(request, "expired").reason

    def test_who_asked_can_take_it_back_and_nobody_else(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", amount="2000000")
        here.pass_time(1_000)
        here.cancel(request, "bob")
        here.pass_time(1_000)
        assert "only shop" in here.said(request.id)[-1].reason
        here.cancel(request, "shop")
        here.until(request, "cancelled")
        here.approve(request, "bob")
        here.approve(request, "carol")
        here.pass_time(5_000)
        assert here.paid("bitcoin") == 0

    def test_a_signer_who_is_away_does_not_hold_it_up(self, office):
        here = office("bitcoin", timing=QUICK)
        here.actors.remove(here.signers[2])
        here.until(here.ask("bitcoin"), "confirmed")

    def test_a_lying_signer_is_excluded_and_named(self, office, monkeypatch):
        here = office("evm", timing=QUICK)
        secrets = here.signers[2].machine._secrets
        honest = secrets.sign
        monkeypatch.setattr(secrets, "sign", lambda *all_of_it: bytes(honest(*all_of_it)[:-1]) + b"\x07")
        for _ in range(3):  # in one of them it takes part
            found = here.until(here.ask("evm"), "confirmed")
            if found.excluded:
                break
        assert "not for this transaction" in found.excluded[2]

    def test_unsigned_in_all_attempts_it_is_rejected_and_a_later_one_uses_its_nonce(self, office, monkeypatch):
        """Shares were asked for, so it may yet be on the chain: until another transfer has taken its nonce."""
        here = office("solana", timing=Timing(resend_ms=500, round_ms=1_000, attempts=2))
        machines = [here.signers[n].machine for n in (1, 2, 3)]
        with monkeypatch.context() as patch:
            for machine in machines:
                patch.setattr(machine._secrets, "sign", lambda *_: b"nothing")
            first = here.ask("solana")
            found = here.until(first, "rejected", "expired")
            assert found.unresolved
        second = here.ask("solana", amount="300000000")
        here.until(second, "confirmed")
        found = here.status(first.id)
        assert not found.unresolved
        assert "never on the chain" in found.reason
        assert here.paid("solana") == 300_000_000


class TestWhatCannotBeMeant:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"vault": "bob-bitcoin"}, "there is no vault bob-bitcoin"),
            ({"account": "bob"}, "is account alice's"),
            ({"chain": "bitcoin:mainnet"}, "is on bitcoin:regtest, asked for was bitcoin:mainnet"),
            ({"asset": "ETH"}, "has BTC, asked for was ETH"),
            ({"destination": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "of Bitcoin's mainnet"),
            ({"destination": "nowhere"}, "no Bitcoin address"),
            ({"amount": str(22_000_000 * 10**8)}, "more BTC than there can be"),
            ({"expires_ms": 5}, "expected expires_ms after requested_ms"),
        ],
    )
    def test_is_refused_with_the_reason(self, office, changes, reason):
        here = office("bitcoin")
        request = here.ask("bitcoin", **changes)
        here.pass_time(500)
        (letter,) = here.refused or [here.said(request.id)[-1].reason]
        assert reason in letter
        assert here.status(request.id) is None

    def test_the_same_id_with_other_contents(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin")
        here.until(request, "confirmed")
        here.ask("bitcoin", id=request.id, amount="5")
        here.pass_time(1_000)
        assert here.said(request.id)[-1].reason == "the id was used with other contents"

    def test_an_address_not_as_whitelists_write_it(self, office):
        here = office("evm")
        request = here.ask("evm", destination=to_checksum_address(here.stranger("evm")).lower())
        here.pass_time(500)
        assert "write the destination as" in here.said(request.id)[-1].reason


class TestWhoSpeaks:
    """Letters that are not by whom they say, or say what their sender cannot: to the dead letters, and nothing changes."""

    def hears(self, office, write):
        here = office("bitcoin")
        before = here.desk.snapshot()
        request = here.ask("bitcoin", amount="2000000")
        here.pass_time(1_000)
        here.post(write(here, request))
        here.pass_time(1_000)
        assert here.desk.snapshot() == before
        assert here.status(request.id).state == "approving"
        (reason,) = here.refused
        return reason

    def test_a_person_in_the_name_of_another(self, office):
        def write(_here, request):
            other = msgspec.structs.replace(request, id="x", requester="alice")
            return pen("bob").write(REQUESTS, "x", "request", encode(Submit(other)).decode())

        assert "bob speaks in the name of alice" in self.hears(office, write)

    def test_a_stranger(self, office):
        def write(_here, request):
            return pen("mallory").write(REQUESTS, "x", "request", encode(Submit(request)).decode())

        assert "who is not known here" in self.hears(office, write)

    def test_a_signer_in_the_name_of_another(self, office):
        def write(_here, request):
            vote = Vote(request.id, request.digest(), 2, Word.ACCEPT, 9, "rule", "", "0" * 64)
            return pen("signer-1").write(ROUNDS, request.id, "request", encode(vote).decode())

        assert "signer-1 speaks in the name of signer 2" in self.hears(office, write)

    def test_money_from_the_faucet_for_anybody(self, office):
        def write(_here, _request):
            return pen("shop").write(REQUESTS, "x", "desk", asks.encode(asks.AskFunds("f", "alice-bitcoin", "1")))

        assert "shop is not of group officers" in self.hears(office, write)

    def test_what_is_no_letter(self, office):
        def write(_here, request):
            whole = pen("shop").write(REQUESTS, "x", "request", encode(Submit(request)).decode())
            return whole._replace(value=whole.value.replace(b"shop", b"chop"))

        assert "not known" in self.hears(office, write)


class TestBalances:
    """What signers are told to be free, which is what solvency is about."""

    def told(self, here):
        facts = [json.loads(one.body) for one in here.letters(ROUNDS) if one.about == "fact"]
        return [int(one["units"]) for one in facts if one["type"] == "VaultBalance"]

    def test_deposits_count_after_two_confirmations(self, office):
        here = office("bitcoin")
        before = self.told(here)
        here.desk_ask(asks.encode(asks.AskFunds("more", "alice-bitcoin", "0.1")))
        here.pass_time(700)
        assert self.told(here) == before  # in one block by now
        here.pass_time(2_000)
        assert self.told(here)[-1] == 60_000_000

    def test_what_is_on_its_way_out_is_told_when_it_has_arrived(self, office):
        """What a release takes is reserved with the signers: a balance without it would count it twice."""
        here = office("solana")
        before = self.told(here)
        here.until(here.ask("solana"), "broadcast")
        assert self.told(here) == before
        here.pass_time(5_000)
        assert len(self.told(here)) == len(before) + 1

    def test_what_the_chain_would_do_otherwise_is_not_signed(self, office, monkeypatch):
        here = office("evm")
        monkeypatch.setattr(here.nodes["evm"], "simulate", lambda *_: Simulation(10**18, 0, 5))
        request = here.ask("evm", expires_ms=here.now_ms + 5_000)
        found = here.until(request, "expired")
        assert "no plan" in found.reason
        assert found.attempt == 0


class TestLocks:
    def test_a_lock_here_for_a_release_there(self, office):
        here = office("bitcoin", "evm")
        request = crossing(here)
        here.until(request, "confirmed")
        here.pass_time(3_000)
        assert here.desk.lock(request.id) is Standing.SETTLED
        assert here.paid("evm") == SOME["evm"]
        assert here.desk.told("alice-bitcoin") == 50_000_000 - 40_000
        facts = [one for one in here.letters(ROUNDS) if one.about == "fact"]
        assert any(LockStands.__name__ in one.body for one in facts)

    def test_what_is_locked_cannot_be_released_otherwise(self, office):
        here = office("bitcoin", "evm")
        crossing(here, locked="49000000")
        here.pass_time(1_000)
        assert "is free" in here.until(here.ask("bitcoin", amount="1000001"), "rejected").reason
        request = here.ask("bitcoin", amount="1000000", expires_ms=here.now_ms + 5_000)  # the fee would be of the lock
        assert "no plan" in here.until(request, "expired").reason

    def test_a_time_out_gives_the_lock_back(self, office):
        here = office("bitcoin", "evm")
        here.fact(AlertRaised("a-1", "rule", Severity.MEDIUM, "alice", here.now_ms))
        for signer in (1, 2, 3):
            here.actors.remove(here.signers[signer])
        request = crossing(here, expires_ms=here.now_ms + 5_000)
        here.pass_time(2_000)
        assert here.desk.lock(request.id) is Standing.STANDS
        here.until(request, "expired")
        here.pass_time(2_000)
        assert here.desk.lock(request.id) is Standing.RETURNED
        here.actors += here.signers.values()
        here.pass_time(10_000)
        assert here.desk.told("alice-bitcoin") == 50_000_000
        assert here.paid("evm") == 0

    def test_more_than_there_is_cannot_be_locked(self, office):
        here = office("bitcoin", "evm")
        request = crossing(here, locked="60000000", expires_ms=here.now_ms + 5_000)
        assert "was not locked" in here.until(request, "expired").reason
        assert here.paid("evm") == 0


class TestCrashes:
    @pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))])
    def test_with_faults_everything_ends_and_nothing_is_paid_twice(self, office, seed):
        """Records twice and in other orders, coordinator and signers restarted at any moment, some of what they said lost."""
        here = office(*KINDS, seed=seed, timing=QUICK)
        here.faults = 0.1
        rng = random.Random(seed)
        wanted = [here.ask(kind) for kind in KINDS for _ in range(2)] + [crossing(here)]
        for request in wanted:
            if rng.random() < 0.3:
                here.submit(request)
        here.pass_time(120_000, 200)
        here.faults = 0.0
        here.pass_time(20_000)
        ended = {request.id: here.status(request.id) for request in wanted}
        assert all(found is not None and found.state.ended for found in ended.values()), ended
        for kind in KINDS:  # what may yet be on the chain is settled by the next transfer of its vault
            if any(ended[r.id].unresolved for r in wanted if r.vault == f"alice-{kind}"):
                wanted.append(here.ask(kind))
                here.until(wanted[-1], "confirmed")
        ended = {request.id: here.status(request.id) for request in wanted}
        for kind in KINDS:
            of_kind = [(r, ended[r.id]) for r in wanted if r.vault == f"alice-{kind}"]
            assert not [r for r, found in of_kind if found.unresolved]
            assert here.paid(kind) == sum(r.units for r, found in of_kind if found.state == "confirmed")
        assert any(found.state == "confirmed" for found in ended.values())
        here.journal.flush()
        assert isinstance(verify(NAME, read_lines(here.folder / "audit.jsonl")), Head)

    @pytest.mark.parametrize("state", ["approving", "signing", "signed", "broadcast"])
    @pytest.mark.parametrize("kind", ["bitcoin", "evm"])
    def test_restarted_in_each_state(self, office, state, kind):
        here = office(kind, timing=QUICK)
        request = here.ask(kind)
        for _ in range(100):
            here.step(here.coordinator)
            for signer in here.signers.values():
                here.step(signer)
            if here.said(request.id) and any(one.state == state for one in here.said(request.id)):
                break
            here.now_ms += 20
        here.coordinator.restart()
        here.until(request, "confirmed")
        assert here.paid(kind) == SOME[kind]

    def test_a_local_chain_that_is_lost_comes_back_with_what_the_vaults_had(self, office):
        here = office("bitcoin")
        here.until(here.ask("bitcoin"), "confirmed")
        here.pass_time(3_000)
        had = here.desk.told("alice-bitcoin")
        here.keep_chains = False
        here.coordinator.restart()
        here.keep_chains = True
        here.pass_time(3_000)
        assert here.desk.told("alice-bitcoin") == had > 0
        here.until(here.ask("bitcoin"), "confirmed")

    def test_what_was_sent_to_a_local_chain_that_is_lost_can_never_be(self, office):
        here = office("solana")
        request = here.ask("solana")
        here.until(request, "broadcast")
        here.keep_chains = False
        here.coordinator.restart()
        here.keep_chains = True
        assert "is not there any more" in here.until(request, "rejected").reason

    def test_a_state_without_its_audit_log_is_refused(self, office):
        here = office("bitcoin")
        (here.folder / "audit.jsonl").unlink()
        with pytest.raises(EngineError, match="the audit log ends at entry 0"):
            here.coordinator.restart()


class TestAudit:
    def test_the_log_fits_the_heads_that_were_sent_and_a_changed_one_does_not(self, office):
        here = office("solana")
        here.until(here.ask("solana"), "confirmed")
        here.pass_time(500)
        view = View(here.roster)
        for record in here.topics["m1cep.custody.releases.v1"]:
            view.take(record.value)
        assert view.heads
        lines = read_lines(here.folder / "audit.jsonl")
        assert verify(NAME, lines, view.heads, view.head_is_signed).seq == len(lines)
        kinds = {msgspec.json.decode(line)["kind"] for line in lines}
        assert {"heard", "state", "chain", "fact", "key"} <= kinds
        forged = [(head, value.replace(b"coordinator", b"signer-1")) for head, value in view.heads]
        assert "another signature" in verify(NAME, lines, forged, view.head_is_signed).reason
        cut = lines[: view.heads[-1][0].seq - 1]
        assert "a signed head names entry" in verify(NAME, cut, view.heads, view.head_is_signed).reason
