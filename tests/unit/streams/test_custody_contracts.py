"""Time locks, escrows, locks paid out, and what a reorganisation undoes: coordinator, signers, real chains, topics in memory."""

import json

import msgspec
import pytest
from custodyoffice import CHAINS, FUNDS, SOME, Office

from m1cep.custody.policy.events import AlertClosed, AlertRaised, Severity
from m1cep.custody.request import Kind, Lock
from m1cep.custody.requests import Timing
from streams import codec
from streams.custody import asks
from streams.custody.locks import Standing

QUICK = Timing(resend_ms=500, round_ms=2_000)


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


class TestTimeLocksAndEscrows:
    def test_a_time_lock_pays_when_its_time_has_come_and_not_before(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", kind=Kind.TIME_LOCK, not_before_ms=here.now_ms + 10_000)
        here.pass_time(9_000)
        assert here.status(request.id).state == "approving"
        here.until(request, "confirmed", within_ms=20_000)
        assert here.paid("bitcoin") == SOME["bitcoin"]

    def test_an_escrow_waits_for_every_alert_to_be_closed(self, office):
        here = office("evm")
        here.fact(AlertRaised("a-1", "rule", Severity.LOW, "alice", here.now_ms))
        request = here.ask("evm", kind=Kind.ESCROW, not_before_ms=here.now_ms + 2_000)
        here.pass_time(15_000)
        assert here.status(request.id).state == "approving"
        here.fact(AlertClosed("a-1", "operations", here.now_ms))
        here.until(request, "confirmed")
        assert here.paid("evm") == SOME["evm"]

    def test_an_escrow_whose_alert_stays_open_expires_and_pays_nothing(self, office):
        here = office("evm")
        here.fact(AlertRaised("a-1", "rule", Severity.LOW, "alice", here.now_ms))
        request = here.ask("evm", kind=Kind.ESCROW, not_before_ms=here.now_ms + 2_000, expires_ms=here.now_ms + 8_000)
        assert "a-1" in here.until(request, "expired").reason
        assert here.paid("evm") == 0


def crossing(here, payee=None, **changes):
    """Ether is released against bitcoin that are locked, and then the payee's."""
    to = here.stranger("bitcoin", 5) if payee is None else payee
    lock = Lock("alice-bitcoin", CHAINS["bitcoin"], "BTC", changes.pop("locked", "40000"), to)
    return here.ask("evm", kind=Kind.CROSS_CHAIN, lock=lock, **changes)


def second(here, request, amount="40000", destination=5):
    """Another payout of the same lock is asked for."""
    to = here.stranger("bitcoin", destination)
    return here.ask("bitcoin", id=f"{request.id}+payout-2", kind=Kind.PAYOUT, amount=amount, destination=to)


class TestPayouts:
    def payout(self, here, request, *states):
        return here.until(msgspec.structs.replace(request, id=f"{request.id}+payout-1"), *states)

    def test_a_settled_lock_is_paid_to_whom_it_names_by_the_same_signers(self, office):
        here = office("bitcoin", "evm")
        here.list_destination("bitcoin", 5)
        request = crossing(here)
        here.until(request, "confirmed")
        self.payout(here, request, "confirmed")
        here.pass_time(5_000)
        assert here.paid("bitcoin", 5) == 40_000
        assert here.paid("evm") == SOME["evm"]
        assert here.desk.lock(request.id) is Standing.PAID
        assert here.desk.told("alice-bitcoin") == here.nodes["bitcoin"].balance(
            here.shares["alice-bitcoin"][1].public.group
        )
        here.until(here.ask("bitcoin"), "confirmed")  # nothing stays reserved

    def test_before_the_release_nothing_is_paid_and_after_its_time_the_lock_is_given_back(self, office):
        here = office("bitcoin", "evm")
        here.list_destination("bitcoin", 5)
        request = crossing(here, destination=here.stranger("evm", 9))  # on no whitelist
        here.until(request, "rejected")
        here.pass_time(5_000)
        assert here.desk.lock(request.id) is Standing.RETURNED
        assert here.paid("bitcoin", 5) == 0
        assert here.desk.told("alice-bitcoin") == 50_000_000

    def test_the_policy_of_the_locks_account_decides_about_the_payout_too(self, office):
        """The payee is on no whitelist: rejected; once it is, another payout of the same lock goes through."""
        here = office("bitcoin", "evm")
        request = crossing(here)
        here.until(request, "confirmed")
        assert "unknown-destination" in self.payout(here, request, "rejected").reason
        assert here.desk.lock(request.id) is Standing.SETTLED
        here.list_destination("bitcoin", 5)
        here.pass_time(1_000)
        again = second(here, request)
        here.until(again, "confirmed")
        assert here.paid("bitcoin", 5) == 40_000

    def test_a_lock_is_paid_out_once(self, office):
        here = office("bitcoin", "evm")
        here.list_destination("bitcoin", 5)
        request = crossing(here)
        here.until(request, "confirmed")
        self.payout(here, request, "confirmed")
        again = second(here, request)
        here.pass_time(3_000)
        assert "is paid: nothing is to be paid out" in here.said(again.id)[-1].reason

    def test_signers_pay_a_lock_out_once_whatever_the_coordinator_says(self, office, monkeypatch):
        here = office("bitcoin", "evm")
        here.list_destination("bitcoin", 5)
        request = crossing(here)
        here.until(request, "confirmed")
        self.payout(here, request, "confirmed")
        monkeypatch.setattr(here.desk, "check_payout", lambda _request: None)
        again = second(here, request)
        assert "is paid out by w-1+payout-1" in here.until(again, "rejected").reason

    @pytest.mark.parametrize("changes", [{"amount": "40001"}, {"destination": 6}])
    def test_signers_pay_what_was_locked_and_to_whom_it_was_locked_for(self, office, monkeypatch, changes):
        here = office("bitcoin", "evm")
        here.list_destination("bitcoin", 6)
        request = crossing(here)
        here.until(request, "confirmed")
        self.payout(here, request, "rejected")  # 5 is not listed
        here.list_destination("bitcoin", 5)
        monkeypatch.setattr(here.desk, "check_payout", lambda _request: None)
        again = second(here, request, **changes)
        assert "locked for it is" in here.until(again, "rejected").reason

    def test_a_payout_of_nothing_is_refused(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin", id="w-9+payout-1", kind=Kind.PAYOUT)
        other = here.ask("bitcoin", id="w-8+payout-1")
        here.pass_time(1_000)
        assert "is not known: nothing is to be paid out" in here.said(request.id)[-1].reason
        assert "the id of a payout" in (here.refused or [here.said(other.id)[-1].reason])[0]

    def test_a_payee_of_another_network_is_refused_at_once(self, office):
        here = office("bitcoin", "evm")
        request = crossing(here, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
        here.pass_time(1_000)
        assert "of Bitcoin's mainnet" in here.said(request.id)[-1].reason

    @pytest.mark.parametrize("seed", range(3))
    def test_with_crashes_and_repetitions_it_is_paid_once(self, office, seed):
        here = office("bitcoin", "evm", seed=seed, timing=QUICK)
        here.list_destination("bitcoin", 5)
        here.faults = 0.1
        request = crossing(here)
        here.pass_time(60_000, 200)
        here.faults = 0.0
        here.pass_time(30_000, 200)
        state = here.status(request.id).state
        if state == "confirmed":
            self.payout(here, request, "confirmed")
        assert here.paid("bitcoin", 5) == (40_000 if state == "confirmed" else 0)


class TestReorganisations:
    def alerts(self, here):
        return [json.loads(one.value) for one in here.topics[codec.ALERTS]]

    def test_a_deposit_that_is_undone_counts_no_more_and_an_alert_says_so(self, office):
        here = office("bitcoin")
        here.desk_ask(asks.encode(asks.AskFunds("more", "alice-bitcoin", "0.1")))
        here.pass_time(5_000)
        assert here.desk.told("alice-bitcoin") == 60_000_000
        chain = here.nodes["bitcoin"]
        (_, last) = chain.deposits(here.shares["alice-bitcoin"][1].public.group)
        chain.reorganise(last.confirmations)
        here.pass_time(12_000)
        assert here.desk.told("alice-bitcoin") == 50_000_000
        (alert,) = self.alerts(here)
        assert (alert["rule"], alert["severity"]) == ("custody-reorganisation", "high")
        assert alert["key"] == {"account": "alice"}
        assert (alert["row"]["reference"], alert["row"]["amount"]) == (last.reference, "10000000")
        assert "is free" in here.until(here.ask("bitcoin", amount="55000000"), "rejected").reason

    def test_it_counts_again_when_it_is_on_the_chain_again(self, office):
        here = office("bitcoin")
        chain, key = here.nodes["bitcoin"], here.shares["alice-bitcoin"][1].public.group
        (deposit,) = chain.deposits(key)
        chain.reorganise(deposit.confirmations)
        here.pass_time(12_000)
        assert here.desk.told("alice-bitcoin") == 0
        here.desk_ask(asks.encode(asks.AskFunds("again", "alice-bitcoin", "0.5")))
        here.pass_time(12_000)
        assert here.desk.told("alice-bitcoin") == 50_000_000
        here.until(here.ask("bitcoin"), "confirmed")

    def test_what_is_locked_and_not_there_any_more_is_a_critical_alert(self, office):
        here = office("bitcoin", "evm")
        request = crossing(here, "", locked="30000000")
        here.until(request, "confirmed")
        chain = here.nodes["bitcoin"]
        (deposit,) = chain.deposits(here.shares["alice-bitcoin"][1].public.group)
        chain.reorganise(deposit.confirmations)
        here.pass_time(12_000)
        (alert,) = self.alerts(here)
        assert (alert["severity"], alert["row"]["short"]) == ("critical", "30000000")

    def test_a_release_that_is_undone_is_sent_again_and_its_coins_are_nobody_elses(self, office):
        here = office("bitcoin")
        request = here.ask("bitcoin")
        here.until(request, "confirmed")
        chain = here.nodes["bitcoin"]
        chain.reorganise(chain.confirmations(here.status(request.id).reason.split()[1]))
        assert here.paid("bitcoin") == 0
        here.pass_time(30_000)
        assert here.paid("bitcoin") == SOME["bitcoin"]
        (alert,) = self.alerts(here)
        assert (alert["severity"], alert["row"]["undone"], alert["row"]["request"]) == (
            "critical",
            "release",
            request.id,
        )
        assert [one.state for one in here.said(request.id) if one.state == "confirmed"] == ["confirmed"]
        (record,) = here.topics[codec.ALERTS]
        assert json.loads(record.value)["id"] == alert["id"]

    def test_after_a_crash_the_alert_is_said_again_under_the_same_id(self, office):
        here = office("bitcoin")
        chain = here.nodes["bitcoin"]
        (deposit,) = chain.deposits(here.shares["alice-bitcoin"][1].public.group)
        chain.reorganise(deposit.confirmations)
        here.pass_time(12_000)
        here.coordinator.restart()
        here.pass_time(2_000)
        first, *others = [one["id"] for one in self.alerts(here)]
        assert others == [first]

    def test_a_local_chain_that_is_made_anew_is_no_reorganisation(self, office):
        here = office("bitcoin", "solana", "evm")
        for kind in ("bitcoin", "solana", "evm"):
            here.until(here.ask(kind), "confirmed")
        here.keep_chains = False
        here.coordinator.restart()
        here.keep_chains = True
        here.pass_time(15_000)
        assert self.alerts(here) == []


def test_signers_hear_the_alert_and_release_nothing_more_from_the_account(office):
    """The platform's alerts are read by every signer: a critical one blocks the account until a person has closed it."""
    here = office("bitcoin")
    for one in here.signers.values():
        one.topics = (*one.topics, codec.ALERTS)
        one.at[codec.ALERTS] = 0
        one.kept[0][codec.ALERTS] = 0
    request = here.ask("bitcoin")
    here.until(request, "confirmed")
    chain = here.nodes["bitcoin"]
    chain.reorganise(chain.confirmations(here.status(request.id).reason.split()[1]))
    here.pass_time(20_000)
    assert "custody-reorganisation" in here.until(here.ask("bitcoin"), "rejected").reason
