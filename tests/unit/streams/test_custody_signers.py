"""Signers as processes: a transfer on each chain, what they are told and by whom, and what they sign only once."""

import dataclasses
import json
from contextlib import nullcontext

import msgspec
import pytest
from custodians import CHAINS, POLICY, Custodians
from nacl.signing import SigningKey
from typer.testing import CliRunner

from m1cep.alert_states import AlertState, Closing
from m1cep.alert_states import State as AlertStateWord
from m1cep.custody.chains.interface import state_to_json
from m1cep.custody.frost import ED25519, several
from m1cep.custody.frost.errors import EncodingError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.signing import Commitment as SaidCommitment
from m1cep.custody.frost.signing import SignatureShare
from m1cep.custody.policy import parse_policy
from m1cep.custody.policy.closings import closing_message
from m1cep.custody.policy.events import AlertClosed, Lifted, Severity, Spending, Spent, VaultBalance
from m1cep.custody.requests import State
from m1cep.custody.requests.messages import (
    AskCommitment,
    AskShare,
    Commitment,
    Propose,
    Share,
    Status,
    Unable,
    Vote,
    Word,
    decode,
    encode,
)
from m1cep.errors import CustodyError, EngineError
from streams import codec, snapshots
from streams.agents.stats import AgentStats
from streams.agents.unsent import packed
from streams.chains.local import open_local
from streams.cli import app
from streams.custody.mail import RELEASES, ROUNDS, Pen
from streams.custody.roster import Vault
from streams.custody.shares import GroupCrypto, signatures_of
from streams.custody.signer_machine import ACCOUNTS, SignerMachine
from streams.errors import ShellError
from streams.snapshots import FolderStore, PartitionSnapshot

AMOUNTS = {"btc": 1_000_000, "sol": 10**9, "eth": 10**18}


class Funded(Custodians):
    """A vault with a key, and money in it on a chain of its own."""

    def __init__(self, folder, vault, **more):
        super().__init__(folder, vaults=(vault,), **more)
        self.vault, self.units = vault, AMOUNTS[vault]
        self.node = open_local(CHAINS[vault].split(":")[0] if vault != "eth" else "evm")
        self.new_key(vault)
        self.fund(vault, self.node, 4 * self.units)
        self.run()

    def stranger(self):
        if self.vault == "btc":
            return "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        if self.vault == "eth":
            return "0x" + "11" * 20
        return self.node.chain.address(bytes(SigningKey(self.rng.randbytes(32)).verify_key))

    def transfer(self, **changes):
        return self.request(self.vault, self.stranger(), self.units, **changes)

    def state(self, request):
        return self.coordinator.case(request.id).state

    def release(self, request):
        """What the chain makes of the signature."""
        made = self.signatures[request.id]
        unsigned = self.group.unsigned(request, made.plan)
        done = self.node.chain.attach(unsigned, signatures_of(made.signature, unsigned))
        self.node.broadcast(done)
        self.node.advance()
        return self.node.confirmations(done.reference)

    def answers(self, kind, number=None):
        """All that signers have said of this kind."""
        found = []
        for message in self.log:
            sealed = json.loads(message.value)
            if sealed.get("about") == "request" and sealed["from"].startswith("signer"):
                said = decode(sealed["body"].encode())
                if isinstance(said, kind) and number in (None, said.signer):
                    found.append(said)
        return found

    def last(self, kind, number):
        return self.answers(kind, number)[-1]

    def tell_signers(self, one, sender="coordinator", topic=ROUNDS, about="request"):
        pen = self.pens.get(sender) or self.signer(int(sender[7:]))._pen
        body = encode(one).decode() if about == "request" else msgspec.json.encode(one).decode()
        at = len(self.log)
        self.send([pen.write(topic, "any", about, body)])
        self.run()
        found = []
        for message in self.log[at + 1 :]:
            sealed = json.loads(message.value)
            if sealed["from"].startswith("signer") and sealed["about"] == "request":
                found.append(decode(sealed["body"].encode()))
        return found


@pytest.fixture
def world(tmp_path):
    """Three signers, of whom two sign, on Solana: the quickest chain to start."""
    made = Funded(tmp_path, "sol", signers=3, threshold=2)
    yield made
    made.node.close()


@pytest.mark.parametrize("vault", CHAINS)
def test_three_of_five_release_a_transfer_that_the_chain_takes(tmp_path, vault):
    world = Funded(tmp_path, vault)
    world.fund(vault, world.node, 4 * world.units)  # of Bitcoin a second coin: two signatures in one transaction
    request = world.request(vault, world.stranger(), 5 * world.units)
    world.run()
    assert world.state(request) is State.SIGNED, world.coordinator.case(request.id).reason
    made = world.group.unsigned(request, world.signatures[request.id].plan)
    assert len(made.to_sign) == (2 if vault == "btc" else 1)
    assert world.release(request) >= 1
    world.node.close()


@pytest.mark.parametrize(("coins", "rounds"), [(1, 1), (2, 1), (3, 2)])
def test_as_many_coins_as_are_usual_are_signed_for_without_a_round_of_commitments(tmp_path, coins, rounds):
    world = Funded(tmp_path, "btc")
    for _ in range(coins - 1):
        world.fund("btc", world.node, 4 * world.units)
    request = world.request("btc", world.stranger(), (4 * coins - 1) * world.units)
    world.run()
    made = world.group.unsigned(request, world.signatures[request.id].plan)
    assert len(made.to_sign) == coins
    assert len(world.answers(Commitment)) == (3 if rounds == 2 else 0)
    assert world.release(request) >= 1
    world.node.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_transfer_is_signed_where_messages_are_lost_doubled_and_mixed_up(tmp_path, seed):
    world = Funded(tmp_path, "sol", signers=4, threshold=3, seed=seed)
    world.lost, world.doubled, world.shuffled = 0.15, 0.3, 0.4
    world.look("sol", world.node)
    request = world.transfer()
    for _ in range(6):  # facts are said again and again by whoever looks at the chain
        world.run(30, until=lambda: request.id in world.signatures)
        world.look("sol", world.node)
    assert world.release(request) >= 1
    world.node.close()


def test_a_signer_killed_anywhere_never_signs_two_transactions_and_the_request_is_signed(tmp_path):
    attempts = set()
    for at in range(1, 12):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = Funded(folder, "sol", signers=3, threshold=2, seed=at)
        request = world.transfer()
        for _ in range(at):
            for number in world.numbers:
                world.step(number)
            world.hear()
        for number in world.numbers:
            world.crash(number)
        world.run(60, until=lambda world=world, request=request: request.id in world.signatures)
        assert world.release(request) >= 1
        attempts.add(world.coordinator.case(request.id).attempt)
        given = {}
        for one in world.answers(Share):
            given.setdefault((one.signer, one.attempt), set()).add(one.share)
        assert all(len(shares) == 1 for shares in given.values())
        world.node.close()
    assert len(attempts) > 1  # some were killed in the middle of one


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account": "bob"}, "vault sol is for account alice, the request is for bob"),
        ({"asset": "BTC"}, "vault sol is for asset SOL"),
        ({"chain": "solana:mainnet"}, "vault sol is for chain solana:local"),
        ({"destination": "11111111111111111111111111111111"}, "a program of the system"),
    ],
)
def test_a_request_that_does_not_fit_its_vault_is_not_derived(world, changes, reason):
    world.fact(VaultBalance("sol", "solana:mainnet", "SOL", str(10**12), world.now_ms))
    world.fact(VaultBalance("sol", "solana:local", "BTC", str(10**12), world.now_ms))
    world.run()
    request = world.transfer(**changes)
    world.run(5)
    assert request.id not in world.signatures
    said = [one.reason for one in world.answers(Unable)]
    assert said
    assert all(reason in one for one in said)
    assert not world.answers(Commitment)


def test_a_plan_that_is_none_is_refused_before_a_nonce_is_drawn(world):
    world.plans["sol"] = b'{"lamports": "many"}'
    request = world.transfer()
    world.run(2)
    assert all("no facts of solana:local" in one.reason for one in world.answers(Unable))
    assert world.state(request) is State.REJECTED
    assert not world.answers(Commitment)


def asked(world, request, attempt, plan=None, **changes):
    fields = {
        "request_id": request.id, "digest": request.digest(), "epoch": world.publics[world.vault].epoch,
        "attempt": attempt, "plan": plan or world.plans[world.vault], "signers": (1, 2),
    }  # fmt: skip
    return AskCommitment(**{**fields, **changes})


def other_plan(world):
    """The chain has gone on: a transaction of other bytes."""
    state = world.node.state(world.publics["sol"].group)
    gone_on = state.nonce[:-1] + ("2" if state.nonce[-1] != "2" else "3")
    return state_to_json(msgspec.structs.replace(state, nonce=gone_on))


def test_after_a_share_no_other_transaction_is_signed_under_the_id_even_after_a_restart(world):
    request = world.transfer()
    world.run()
    assert world.state(request) is State.SIGNED
    signers = world.answers(Share)
    number = signers[0].signer
    others = tuple(sorted({number, next(n for n in (1, 2, 3) if n != number)}))
    for restarted in (False, True):
        if restarted:
            world.crash(number)
        attempt = 50 + 20 * restarted
        said = world.tell_signers(asked(world, request, attempt, other_plan(world), signers=others))
        [mine] = [one for one in said if one.signer == number]
        assert isinstance(mine, Unable)
        assert "another transaction was signed" in mine.reason
        same = world.tell_signers(asked(world, request, attempt + 10, signers=others))
        assert any(isinstance(one, Commitment) and one.signer == number for one in same)


def test_a_new_member_does_not_sign_what_was_asked_for_before_it_came(tmp_path):
    world = Funded(tmp_path, "sol", signers=4, threshold=2, holders=(1, 2))
    before = world.transfer(expires_ms=world.now_ms + 10**9)
    world.run()
    assert world.state(before) is State.SIGNED
    world.pass_time(1_000)
    world.rename_members("sol", (3, 4), 2)
    going = world.ceremony("sol", world.publics["sol"])
    world.run(20, until=lambda: going.ended)
    world.run()
    world.look("sol", world.node)
    epoch = world.publics["sol"].epoch
    assert epoch == 1
    votes = world.tell_signers(Propose(before, epoch))
    assert any(one.word is Word.ACCEPT for one in votes)  # the policy has nothing against it
    said = world.tell_signers(asked(world, before, 60, other_plan(world), signers=(3, 4)))
    assert {one.signer for one in said} >= {3, 4}
    assert all(isinstance(one, Unable) and "before this signer held its share" in one.reason for one in said)
    after = world.transfer()
    world.run(5)
    assert world.state(after) is State.SIGNED
    world.node.close()


def test_what_is_asked_in_an_older_epoch_is_refused_after_a_refresh(world):
    request = world.transfer()
    world.is_held_back = lambda message: b"AskShare" in message.value
    world.run()
    assert world.held_back  # nonces are out, and nobody was asked for a share
    world.is_held_back = lambda _message: False
    going = world.ceremony("sol", world.publics["sol"])
    world.run(until=lambda: going.ended)
    for message in world.held_back:
        world.log.append(message)
    world.run()
    assert not [one for one in world.answers(Share) if one.attempt == 1]
    assert any("expected epoch 1 of the key, got epoch 0" in one.reason for one in world.answers(Unable))
    world.run(60, until=lambda: request.id in world.signatures)
    assert world.release(request) >= 1


def test_a_signer_that_has_lost_its_state_signs_nothing_that_was_asked_for_before(world):
    request = world.transfer()
    world.run()
    number = world.answers(Share)[0].signer
    world.pass_time(1_000)
    world.saved.pop(number)
    world.crash(number)
    world.run()
    others = tuple(sorted({number, next(n for n in (1, 2, 3) if n != number)}))
    said = world.tell_signers(asked(world, request, 60, other_plan(world), signers=others))
    [mine] = [one for one in said if one.signer == number]
    assert isinstance(mine, Unable)
    assert "before this signer held its share" in mine.reason
    world.pass_time(1)
    world.look("sol", world.node)
    later = world.transfer()
    world.run(30, until=lambda: later.id in world.signatures)
    assert later.id in world.signatures


# -- who is heard on what


def record(value, **headers):
    from types import SimpleNamespace

    named = [(name, text.encode()) for name, text in headers.items()]
    return SimpleNamespace(offset=1, timestamp=1_000, key=b"k", value=value, headers=named)


ALERT = {"id": "a7", "rule": "takeover", "severity": "critical", "key": {"account": "alice"}, "row": {}}


def test_an_open_alert_of_the_platform_rejects_with_its_id_until_somebody_who_may_has_closed_it(world):
    for number in world.numbers:
        at = record(json.dumps(ALERT).encode(), ce_time="2027-01-15T08:00:00Z")
        world.signer(number).take(codec.ALERTS, 0, at)
    refused = world.transfer()
    world.run()
    assert world.state(refused) is State.REJECTED
    assert "a7" in world.coordinator.case(refused.id).reason
    closing = AlertClosed("a7", "carol", world.now_ms)
    for sender in ("coordinator", "signer-1"):  # who may not
        world.tell_signers(closing, sender, about="fact")
    assert [a.alert_id for a in world.signer(2).signer.facts.open_alerts("alice", Severity.LOW)] == ["a7"]
    world.tell_signers(closing, "chains", about="fact")
    allowed = world.transfer()
    world.run()
    assert world.state(allowed) is State.SIGNED


def with_closers(world, count=1):
    """The policy lets officers close alerts, whose keys are here."""
    pens = {name: Pen(name, Secret(bytes([n]) * 32)) for n, name in enumerate(("carol", "dave", "mallory"), 1)}
    text = POLICY.replace("rules:", f"close_alerts: {{group: officers, count: {count}}}\nrules:")
    for name, old in (("carol", "ca"), ("dave", "da")):
        text = text.replace(old * 32, pens[name].verify_key.hex())
    for number in world.numbers:
        world.signer(number)._policy = parse_policy(text)
    return pens


def stated(world, state, *pens, alert="a7", time_ms=None, of="a7"):
    """A record of an alert's state at signer 1, signed by some."""
    time_ms = world.now_ms if time_ms is None else time_ms
    words = [Closing(pen.sender, time_ms) for pen in pens]
    signed = tuple(
        Closing(pen.sender, time_ms, pen.sign(closing_message(of, word)).hex())
        for pen, word in zip(pens, words, strict=True)
    )
    value = AlertState(
        alert, "takeover", {"account": "alice"}, AlertStateWord(state), "somebody", time_ms, "", signed
    ).to_json()
    world.signer(1).take(codec.ALERT_STATES, 0, record(value))
    return value


@pytest.fixture
def alarmed(world):
    """Alice is frozen by an alert; is it so still?"""
    hold = {"id": "a7", "action": "freeze_account", "account": "alice", "event_time_ms": 5}
    world.signer(1).take(codec.ALERTS, 0, record(json.dumps(ALERT).encode()))
    world.signer(1).take(codec.ACTIONS, 0, record(json.dumps(hold).encode()))

    def so():
        facts = world.signer(1).signer.facts
        alerts, holds = facts.open_alerts("alice", Severity.LOW), facts.holds("alice")
        assert len(alerts) == len(holds)
        return bool(alerts)

    return so


def test_a_closing_that_nobody_signed_ends_nothing_at_a_signer_and_one_of_whom_the_policy_names_does(world, alarmed):
    pens = with_closers(world)
    for signers, changes in (
        ((), {}),
        ((pens["mallory"],), {}),  # whom the policy does not name
        ((pens["carol"],), {"of": "a8"}),  # of another alert
        ((pens["carol"],), {"time_ms": world.now_ms + 3_600_000}),  # so that no reopening could be later
    ):
        stated(world, "closed", *signers, **changes)
        assert alarmed()
    stated(world, "closed", pens["carol"])
    assert not alarmed()


def test_whoever_may_write_can_reopen_an_alert_and_the_old_closing_said_again_does_not_close_it(world, alarmed):
    pens = with_closers(world)
    closing = stated(world, "closed", pens["carol"])
    world.now_ms += 10
    stated(world, "open", time_ms=world.now_ms + 10**10)  # a time in the future is not taken at its word
    assert alarmed()
    world.now_ms += 10
    world.signer(1).take(codec.ALERT_STATES, 0, record(closing))
    assert alarmed()
    world.now_ms += 10
    stated(world, "closed", pens["carol"])
    assert not alarmed()


def test_a_closing_takes_as_many_people_as_the_policy_says(world, alarmed):
    pens = with_closers(world, count=2)
    stated(world, "closed", pens["carol"])
    stated(world, "closed", pens["carol"], pens["carol"])
    assert alarmed()
    stated(world, "closed", pens["carol"], pens["dave"])
    assert not alarmed()


def test_where_the_policy_says_nothing_of_closing_nobody_closes(world, alarmed):
    pens = with_closers(world)
    world.signer(1)._policy = world.policy
    stated(world, "closed", pens["carol"])
    assert alarmed()


def test_the_time_of_an_alert_is_that_of_its_event(world):
    machine = world.signer(1)
    for one, at in (
        (record(json.dumps(ALERT).encode(), ce_time="2027-01-15T08:00:00.250Z"), 1_800_000_000_250),
        (record(json.dumps({**ALERT, "id": "a8"}).encode(), ce_time="soon"), 1_000),
        (record(json.dumps({**ALERT, "id": "a9"}).encode()), 1_000),
    ):
        machine.take(codec.ALERTS, 0, one)
        name = json.loads(one.value)["id"]
        [found] = [a for a in machine.signer.facts.open_alerts("alice", Severity.LOW) if a.alert_id == name]
        assert found.time_ms == at


class Broker:
    def describe_cluster(self):
        return {"cluster_id": "c1"}


def test_how_many_alerts_nobody_has_closed_is_counted_and_each_is_listed_from_the_saved_state(
    world, tmp_path, monkeypatch
):
    stats = AgentStats()
    machine = SignerMachine(world.roster, world.policy, world.file(1), lambda: world.now_ms, stats)
    machine.tick(world.now_ms)
    assert stats.as_dict().items() >= {"open_alerts": 0, "oldest_alert_ms": None}.items()
    for number, (rule, moment) in enumerate((("spoofing", "2027-01-15"), ("layering", "2026-01-15"))):
        alert = {**ALERT, "id": f"a{number}", "rule": rule}
        machine.take(codec.ALERTS, 0, record(json.dumps(alert).encode(), ce_time=f"{moment}T08:00:00Z"))
    machine._count_again_s = 0.0
    machine.tick(world.now_ms)
    assert (stats.signer, stats.open_alerts, stats.oldest_alert_ms) == (1, 2, 1_768_464_000_000)

    monkeypatch.setattr("streams.topics.admin_client", lambda _settings: nullcontext(Broker()))
    state = tmp_path / "state"

    def listed(*arguments):
        done = CliRunner().invoke(app, ["custody", "alerts", *arguments], env={"M1CEP_STATE_DIR": str(state)})
        if done.exception:
            raise done.exception
        return [json.loads(line)["alert"] for line in done.stdout.splitlines()]

    with pytest.raises(ShellError, match="there is no state of signer-1"):
        listed("1")
    store = FolderStore(state / "snapshots" / "c1" / "m1cep-signer-1")
    kept = PartitionSnapshot("signer-1", 0, {}, {}, {}, packed(machine.snapshot(), []))
    store.save(0, store.claim(0), snapshots.encode(kept))
    assert listed("1", "--json") == ["a1", "a0"]  # the oldest first
    assert listed("1", "--json", "--before", "2026-02-01") == ["a1"]
    assert listed("1", "--json", "--rule", "spoofing", "--account", "alice") == ["a0"]
    kept = PartitionSnapshot("signer-1", 0, {}, {}, {}, packed(b"other", []))
    store.save(0, store.claim(0), snapshots.encode(kept))
    with pytest.raises(ShellError, match="expected the state of signer-1"):
        listed("1")


def test_holds_and_events_of_accounts_are_facts(world):
    machine = world.signer(1)
    hold = {"id": "h1", "action": "freeze_account", "account": "alice", "event_time_ms": 5}
    machine.take(codec.ACTIONS, 0, record(json.dumps(hold).encode()))
    assert [one.action_id for one in machine.signer.facts.holds("alice")] == ["h1"]
    row = {
        "event_id": "e1",
        "account": "alice",
        "kind": "address_whitelisted",
        "asset": "SOL",
        "address": "X1",
        "ts": 9,
    }
    machine.take(ACCOUNTS, 0, record(json.dumps(row).encode()))
    assert machine.signer.facts.listed_since_ms("alice", "solana:local", "X1") == 9
    world.tell_signers(Lifted("h1", "carol", 6), "chains", about="fact")
    assert machine.signer.facts.holds("alice") == []


def test_an_asset_on_several_chains_is_whitelisted_on_none(tmp_path):
    world = Custodians(tmp_path, signers=2, threshold=2, vaults=("eth",))
    shared = world.roster.vaults["eth"]
    more = Vault(chain="evm:1", account="bob", signers=shared.signers, threshold=2)
    world.roster.vaults["other"] = more
    world.file(1).close()
    world.begin(1)
    row = {
        "event_id": "e1",
        "account": "alice",
        "kind": "address_whitelisted",
        "asset": "ETH",
        "address": "X1",
        "ts": 9,
    }
    world.signer(1).take(ACCOUNTS, 0, record(json.dumps(row).encode()))
    assert world.signer(1).signer.facts.listed_since_ms("alice", "evm:1", "X1") is None


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"\xff\xfe", b'{"id": 3}', json.dumps({**ALERT, "severity": "so so"}).encode(), b"1" * 99],
)
def test_what_cannot_be_read_is_refused_and_the_signer_goes_on(world, value):
    machine = world.signer(1)
    before = machine.snapshot()
    for topic in (ROUNDS, RELEASES, codec.ALERTS, codec.ALERT_STATES, codec.ACTIONS, ACCOUNTS):
        assert machine.take(topic, 0, record(value)) == []
    assert machine.snapshot() == before


def test_questions_of_anybody_but_the_coordinator_are_not_answered(world):
    request = world.transfer()
    world.run()
    ask = asked(world, request, 40)
    assert world.tell_signers(ask, "signer-3") == []
    assert world.tell_signers(ask, "chains") == []
    assert world.tell_signers(ask)


def test_a_letter_in_the_coordinators_name_by_another_key_is_refused(world):
    request = world.transfer()
    world.run()
    forged = type(world.pens["chains"]).__new__(type(world.pens["chains"]))
    forged._key, forged.sender = world.pens["chains"]._key, "coordinator"
    message = forged.write(ROUNDS, "k", "request", encode(asked(world, request, 40)).decode())
    assert world.signer(1).take(ROUNDS, 0, record(message.value)) == []


def test_the_coordinators_word_ends_a_request_and_frees_what_was_reserved(world):
    request = world.transfer()
    world.is_held_back = lambda message: b"AskShare" in message.value
    world.run()
    facts = world.signer(1).signer.facts
    assert facts.spending(request.id).spent is Spent.RESERVED
    ended = Status(request.id, request.digest(), State.CANCELLED, 1, "by alice", world.now_ms)
    world.tell_signers(ended, "signer-2", topic=RELEASES)
    assert facts.spending(request.id).spent is Spent.RESERVED
    world.tell_signers(ended, topic=RELEASES)
    assert facts.spending(request.id).spent is Spent.RETURNED


def test_what_was_signed_stays_reserved_until_the_chain_has_spoken(world):
    request = world.transfer()
    world.run()
    number = world.answers(Share)[0].signer
    facts = world.signer(number).signer.facts
    ended = Status(request.id, request.digest(), State.EXPIRED, 1, "so it says", world.now_ms, unresolved=True)
    world.tell_signers(ended, topic=RELEASES)
    assert facts.spending(request.id).spent is Spent.RESERVED
    spent = Spending(
        request.id, "alice", "sol", "solana:local", "SOL", request.amount, Spent.RELEASED, world.now_ms + 1
    )
    world.tell_signers(spent, "chains", about="fact")
    assert facts.spending(request.id).spent is Spent.RELEASED


# -- start and state


def test_a_keyfile_that_the_roster_does_not_know_is_refused(world, tmp_path):
    (tmp_path / "other").mkdir()
    other = Custodians(tmp_path / "other", signers=3, threshold=2, vaults=("sol",))
    with pytest.raises(CustodyError, match="the roster has no signer 2 with the key of"):
        SignerMachine(world.roster, world.policy, other.file(2))


def test_the_state_of_another_signer_or_of_another_form_is_refused(world):
    state = world.signer(2).snapshot()
    for wrong, reason in ((state, "of signer 2, not of signer 1"), (b"\x80", "expected the state"), (b"", "expected")):
        with pytest.raises(EngineError, match=reason):
            SignerMachine(world.roster, world.policy, world.file(1)).load(wrong)


def test_a_vote_is_given_by_the_time_of_now_and_not_of_the_last_tick(world):
    world.now_ms += 700  # without a tick
    request = world.transfer()
    world.run()
    assert world.state(request) is State.SIGNED
    assert all(one.word is Word.ACCEPT for one in world.answers(Vote))


# -- several signatures in one byte string


def test_what_was_joined_is_split_and_nothing_else_is():
    parts = [b"a", b"", b"ccc"]
    joined = several.join(parts)
    assert several.split("it", joined, 3) == parts
    assert several.split("it", several.first("it", joined, 2), 2) == parts[:2]
    with pytest.raises(EncodingError, match="it has 3 parts, 4 are needed"):
        several.first("it", joined, 4)
    for data, count in ((joined, 2), (joined[:-1], 3), (joined + b"x", 3), (b"", 1), (b"\0\1\0", 1)):
        with pytest.raises(EncodingError):
            several.split("it", data, count)
    for wrong in ([], [b""] * 65, [bytes(65_536)]):
        with pytest.raises(EncodingError):
            several.join(wrong)


def test_the_coordinators_side_takes_only_what_can_be_a_signers(world):
    request = world.transfer()
    world.run()
    made = world.signatures[request.id]
    group, epoch = world.group, 0
    commitments = next(one.commitments for one in world.said if isinstance(one, AskShare))
    shares = {one.signer: one.share for one in world.answers(Share)}
    (one, good), (other, theirs) = sorted(commitments.items())
    assert group.commitment_is_valid(request, epoch, made.plan, one, good)
    for signer, at_epoch, data in ((one, 0, theirs), (one, 1, good), (9, 0, good), (one, 0, b""), (one, 0, good[:-1])):
        assert not group.commitment_is_valid(request, at_epoch, made.plan, signer, data)
    assert group.share_is_valid(request, epoch, made.plan, commitments, one, shares[one])
    mine = several.split("commitment", good, 1)[0]
    for changes in ({"identifier": 9}, {"epoch": 1}):  # well made, and of nobody, or of another epoch
        said = dataclasses.replace(SaidCommitment.decode(ED25519, mine), **changes)
        encoded = several.join([said.encode(ED25519)])
        assert not group.commitment_is_valid(request, epoch, made.plan, said.identifier, encoded)
    [decoded] = several.split("share", shares[one], 1)
    wrong = SignatureShare.decode(ED25519, decoded)
    spoilt = SignatureShare(one, 0, ED25519.scalar_add(wrong.response, ED25519.scalar(1))).encode(ED25519)
    for signer, data in ((one, shares[other]), (other, shares[one]), (one, several.join([spoilt])), (one, b"")):
        assert not group.share_is_valid(request, epoch, made.plan, commitments, signer, data)
    assert not group.share_is_valid(request, epoch, b"{}", commitments, one, shares[one])
    with pytest.raises(CustodyError, match="has no key yet"):
        GroupCrypto(world.roster.vaults, {}).public("sol")
    with pytest.raises(EncodingError):
        signatures_of(several.join([b"a", b"b"]), group.unsigned(request, made.plan))


def test_a_question_for_shares_with_too_many_commitments_or_in_a_wrong_name_is_refused(world):
    world.transfer()
    world.is_held_back = lambda message: b"AskShare" in message.value
    world.run()
    world.is_held_back = lambda _message: False
    asked = next(one for one in world.said if isinstance(one, AskShare))
    (one, mine), (other, _) = sorted(asked.commitments.items())
    mixed = msgspec.structs.replace(asked, commitments={one: mine, other: mine})
    answers = [answer for answer in world.tell_signers(mixed) if answer.signer == one]
    assert isinstance(answers[0], Unable)
    assert "another signer's name" in answers[0].reason
