"""Reserves: vaults' keys sign for a statement of what is owed; coordinator and signers over topics in memory."""

import json
from contextlib import nullcontext
from hashlib import sha256
from types import SimpleNamespace

import msgspec
import pytest
from custodyoffice import START_MS, Office, pen
from eth_utils import keccak
from frostworld import dealt, seeded
from typer.testing import CliRunner

from m1cep.custody.chains.errors import ChainRefusedError
from m1cep.custody.chains.evm.common import call
from m1cep.custody.frost import SECP256K1
from m1cep.custody.heads.messages import AskHeadShare, AskReserve, HeadCommitment, HeadShare, HeadUnable, decode, encode
from m1cep.errors import CustodyError
from m1cep.ledger.liabilities.verify_balance import (
    RESERVES_FORMAT,
    Untrue,
    challenge_digest,
    check_reserves,
    check_signed,
    statement_digest,
)
from streams.cli import custody_reserves
from streams.cli.main import app
from streams.custody import asks, reserving
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS
from streams.custody.reserving import ReserveAsk, challenge_of, encode_ask
from streams.custody.view import View
from streams.ledger.statements import Owed, publish

NAMES = {"bitcoin": "bitcoin:regtest/BTC", "solana": "SOL", "evm": "ETH"}


@pytest.fixture
def office(tmp_path):
    made = []

    def make(kinds=("bitcoin", "solana"), **options):
        made.append(Office(tmp_path, kinds, **options))
        made[-1].pass_time(1_000)
        return made[-1]

    yield make
    for one in made:
        one.close()


def statement_at(epoch_ms, total="1"):
    return {"format": "m1cep-liabilities-1", "epoch_ms": epoch_ms, "assets": {"SOL": {"total": total}}}


def ask_of(statement, kind="solana", name="r-1", **changes):
    digest = statement_digest(statement).hex()
    plain = {"id": name, "vault": f"alice-{kind}", "asset": NAMES.get(kind, "ETH"), "statement": digest}
    return ReserveAsk(**{**plain, "epoch_ms": statement["epoch_ms"], **changes})


def letter_of(ask, by="bob"):
    return pen(by).write(REQUESTS, ask.vault, "reserve", encode_ask(ask))


def view_of(here):
    view = View(here.roster)
    for record in here.topics[RELEASES]:
        view.take(record.value)
    return view


def answer_to(here, ask, within_ms=120_000):
    end = here.now_ms + within_ms
    while here.now_ms < end:
        here.pass_time(500)
        view = view_of(here)
        if found := view.reserves.get(ask.id) or view.answers.get(ask.id):
            return found
    raise AssertionError(f"no answer to {ask}: {here.refused}")


def document(statement, *stands):
    places = [
        {
            "chain": one.chain, "asset": one.asset, "address": one.address, "units": "7", "height": 1,
            "scheme": one.scheme, "public_key": one.key, "signature": one.signature,
        }
        for one in stands
    ]  # fmt: skip
    return {"format": RESERVES_FORMAT, "statement": statement_digest(statement).hex(), "reserves": places}


def said(here, kind):
    letters = [one for one in here.letters(ROUNDS) if one.about == "reserve"]
    return [one for one in (decode(letter.body) for letter in letters) if isinstance(one, kind)]


def test_what_vaults_sign_the_verifier_for_everybody_accepts_and_for_no_other_statement(office):
    here = office()
    statement = statement_at(here.now_ms)
    asked = [ask_of(statement, kind, f"r-{kind}") for kind in ("bitcoin", "solana")]
    for one in asked:
        here.post(letter_of(one))
    stands = [answer_to(here, one) for one in asked]
    assert check_reserves(statement, document(statement, *stands)) == {"bitcoin:regtest/BTC": 7, "SOL": 7}
    other = statement_at(statement["epoch_ms"], "2")
    with pytest.raises(Untrue, match="not signed"):
        check_reserves(other, document(other, stands[0]))


@pytest.mark.parametrize("seed", range(3))
def test_with_crashes_and_repetitions_an_ask_is_answered(office, seed):
    here = office(("solana",), seed=seed)
    here.faults = 0.1
    statement = statement_at(here.now_ms)
    ask = ask_of(statement)
    here.post(letter_of(ask))
    found = answer_to(here, ask, 300_000)
    assert check_reserves(statement, document(statement, found)) == {"SOL": 7}


@pytest.mark.parametrize("away", [1, 2, 3])
def test_one_signer_may_be_away(office, away):
    here = office(("solana",))
    here.actors.remove(here.signers[away])
    statement = statement_at(here.now_ms)
    here.post(letter_of(ask_of(statement)))
    found = answer_to(here, ask_of(statement))
    assert check_reserves(statement, document(statement, found)) == {"SOL": 7}


def test_of_one_moment_a_vault_stands_for_one_statement_over_restarts(office):
    here = office(("solana",))
    first, now_ms = ask_of(statement_at(here.now_ms)), here.now_ms
    here.post(letter_of(first))
    assert isinstance(answer_to(here, first), asks.ReserveStands)
    for actor in here.actors:
        actor.restart()
    others = [
        ask_of(statement_at(now_ms, "2"), name="r-2"),
        ask_of(statement_at(now_ms - 1), name="r-3"),
        msgspec.structs.replace(first, id="r-5", asset="solana:local/SOL"),  # it would count twice
    ]
    for ask in others:
        here.post(letter_of(ask))
        found = answer_to(here, ask)
        assert not found.done
        assert f"stands for SOL of statement {first.statement}" in found.reason
    later = ask_of(statement_at(now_ms + 1), name="r-4")
    here.post(letter_of(later))
    assert isinstance(answer_to(here, later), asks.ReserveStands)


def test_the_same_ask_gets_the_same_signature(office):
    here = office(("solana",))
    ask = ask_of(statement_at(here.now_ms))
    here.post(letter_of(ask))
    first, given = answer_to(here, ask), len(said(here, HeadShare))
    here.post(letter_of(ask))
    here.pass_time(5_000)
    assert answer_to(here, ask) == first
    assert len(said(here, HeadShare)) == given


def signers_alone(here, letter, attempt=2**50, **changes):
    """What signers say to a coordinator that has its key and asks what it wants."""
    here.actors = list(here.signers.values())
    plain = {"log": "alice-solana", "attempt": attempt, "epoch": 0, "signers": (1, 2)}
    asked = AskReserve(**{**plain, **changes}, letter=letter.value.decode())
    here.post(pen("coordinator").write(ROUNDS, "alice-solana", "reserve", encode(asked)))
    here.pass_time(1_000)


def test_a_signer_signs_for_nobody_who_may_not_ask(office):
    """The coordinator makes up an ask; alice is no officer; bob's letter was about something else, and changed on its way."""
    here = office(("solana",))
    ask = ask_of(statement_at(here.now_ms))
    changed = json.loads(letter_of(ask).value)
    changed["body"] = encode_ask(msgspec.structs.replace(ask, statement="0" * 64))
    tampered = letter_of(ask)._replace(value=json.dumps(changed).encode())
    other = pen("bob").write(REQUESTS, ask.vault, "desk", encode_ask(ask))
    for n, letter in enumerate((letter_of(ask, "coordinator"), letter_of(ask, "alice"), tampered, other)):
        signers_alone(here, letter, 2**50 + n)
    reasons = [one.reason for one in said(here, HeadUnable) if one.signer == 1]
    assert ["not known here" in one for one in reasons[:2]] == [True, True]
    assert "not signed by its key" in reasons[2]
    assert "about 'desk'" in reasons[3]
    assert said(here, HeadCommitment) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vault": "alice-bitcoin", "asset": "BTC"}, "the letter is about vault alice-bitcoin"),
        ({"asset": "BTC"}, "has SOL or solana:local/SOL"),
        ({"epoch_ms": 2**50}, "nothing is signed ahead"),
    ],
)
def test_a_signer_makes_the_challenge_of_its_own_roster(office, changes, reason):
    here = office()
    signers_alone(here, letter_of(ask_of(statement_at(here.now_ms), **changes)))
    assert {one.signer for one in said(here, HeadUnable)} == {1, 2}
    assert all(reason in one.reason for one in said(here, HeadUnable))
    assert said(here, HeadCommitment) == []


def test_nonces_sign_once(office):
    """After its share a signer gives no second one for other commitments, nor for another letter under the same attempt."""
    here = office(("solana",))
    ask = ask_of(statement_at(here.now_ms))
    signers_alone(here, letter_of(ask))
    commitments = {one.signer: one.commitment for one in said(here, HeadCommitment)}
    question = AskHeadShare("alice-solana", 2**50, commitments)
    here.post(pen("coordinator").write(ROUNDS, "alice-solana", "reserve", encode(question)))
    here.pass_time(1_000)
    given = said(here, HeadShare)
    assert {one.signer for one in given} == {1, 2}
    swapped = AskHeadShare("alice-solana", 2**50, {**commitments, 2: commitments[1]})
    here.post(pen("coordinator").write(ROUNDS, "alice-solana", "reserve", encode(swapped)))
    signers_alone(here, letter_of(msgspec.structs.replace(ask, epoch_ms=ask.epoch_ms + 1)))
    assert said(here, HeadShare) == given
    assert "given up" in said(here, HeadUnable)[0].reason
    assert len(said(here, HeadCommitment)) == 2


def test_a_share_for_a_reserve_is_none_for_the_requests_machine(office):
    """The words of one round are no words of the other: letters say what they are about, and that is signed."""
    here = office(("solana",))
    signers_alone(here, letter_of(ask_of(statement_at(here.now_ms))))
    before = len(here.topics[ROUNDS])
    commitments = {one.signer: one.commitment for one in said(here, HeadCommitment)}
    question = encode(AskHeadShare("alice-solana", 2**50, commitments))
    for about in ("head", "request"):
        here.post(pen("coordinator").write(ROUNDS, "alice-solana", about, question))
    here.pass_time(1_000)
    assert len(here.topics[ROUNDS]) == before + 2


def test_a_vault_on_an_evm_chain_signs_with_the_key_that_its_contract_names(office):
    here = office(("evm",))
    statement = statement_at(here.now_ms)
    here.post(letter_of(ask_of(statement, "evm")))
    stands = answer_to(here, ask_of(statement, "evm"))
    assert check_reserves(statement, document(statement, stands)) == {"ETH": 7}
    other = statement_at(statement["epoch_ms"], "2")
    with pytest.raises(Untrue, match="not signed"):
        check_reserves(other, document(other, stands))
    key = bytes.fromhex(stands.key)
    answers = [here.nodes["evm"].machine.ask(stands.address, keccak(name)[:4]) for name in (b"KEY_X()", b"KEY_ODD()")]
    assert [int.from_bytes(one, "big") for one in answers] == [int.from_bytes(key[1:], "big"), key[0] - 2]


class TestSafes:
    """As many owners as release sign one after the other; who they are makes the Safe's address."""

    @pytest.fixture
    def safe(self, office, safe_home, monkeypatch):
        monkeypatch.setenv("M1CEP_HOME", str(safe_home))
        here = office(("safe",))
        here.pass_time(5_000)  # owners know since then what they have signed
        return here

    def stands(self, here, statement, name="r-1"):
        here.post(letter_of(ask_of(statement, "safe", name)))
        return answer_to(here, ask_of(statement, "safe", name))

    def test_the_verifier_for_everybody_accepts_it_and_so_does_the_safe_itself(self, safe):
        statement = statement_at(safe.now_ms)
        stands = self.stands(safe, statement)
        assert check_reserves(statement, document(statement, stands)) == {"ETH": 7}
        machine, signature = safe.nodes["safe"].machine, bytes.fromhex(stands.signature)
        digest = bytes.fromhex(stands.statement)
        words = digest, stands.epoch_ms, "safe:31337", "ETH", stands.address
        question = "checkSignatures(bytes32,bytes,bytes)"
        machine.ask(stands.address, call(question, [challenge_digest(*words), b"", signature]))
        with pytest.raises(ChainRefusedError, match="GS026"):  # of another message they are nobody's
            machine.ask(stands.address, call(question, [challenge_digest(digest, 1, *words[2:]), b"", signature]))

    def test_what_is_not_as_the_owners_signed_it_is_refused(self, safe):
        statement = statement_at(safe.now_ms)
        signed = document(statement, self.stands(safe, statement))
        (place,) = signed["reserves"]
        first, second = place["signature"][:130], place["signature"][130:]
        threshold, owners = place["public_key"][:2], place["public_key"][2:]
        assert threshold == "02"
        changes = [
            ({"signature": second + first}, "not signed"),
            ({"signature": first + first}, "not signed"),
            ({"signature": first[:-2] + "00" + second}, "not signed"),
            ({"signature": first}, "260 hexadecimal digits"),
            # Who has one owner's key says that one is enough, or that others own it: those are other Safes' addresses.
            ({"public_key": "01" + owners, "signature": first}, "not the address"),
            ({"public_key": threshold + owners[:80]}, "not the address"),
            ({"public_key": threshold + owners[:40] * 2}, "once each, ascending"),
            ({"public_key": "00" + owners}, "a threshold and 1 to 50 owners"),
            ({"public_key": "04" + owners}, "a threshold and 1 to 50 owners"),
            ({"public_key": "zz" + owners}, "threshold of 2 hexadecimal digits"),
            ({"address": place["address"].lower()}, "not the address"),
            ({"scheme": "ecdsa"}, "64 hexadecimal digits"),
        ]
        for change, reason in changes:
            with pytest.raises(Untrue, match=reason):
                check_reserves(statement, {**signed, "reserves": [{**place, **change}]})
        other = statement_at(statement["epoch_ms"], "2")
        with pytest.raises(Untrue, match="not signed"):
            check_reserves(other, signed)
        # On the chain, where it has to be asked who owns it, what others sign is not what these have signed.
        stranger = {"chain": "evm:31337", "public_key": threshold + "ff" * 20 + owners[:40]}
        with pytest.raises(Untrue, match="not signed"):
            check_reserves(statement, {**signed, "reserves": [{**place, **stranger}]})

    def test_one_owner_may_be_away(self, safe):
        safe.actors.remove(safe.signers[1])
        statement = statement_at(safe.now_ms)
        assert check_reserves(statement, document(statement, self.stands(safe, statement))) == {"ETH": 7}

    def test_with_two_away_it_says_who(self, safe):
        for number in (1, 3):
            safe.actors.remove(safe.signers[number])
        found = self.stands(safe, statement_at(safe.now_ms))
        assert "signer 1: has not answered in time; signer 3: has not answered in time" in found.reason

    def test_of_one_moment_it_stands_for_one_statement_over_restarts(self, safe):
        now_ms = safe.now_ms
        first = self.stands(safe, statement_at(now_ms))
        for actor in safe.actors:
            actor.restart()
        assert (
            f"stands for ETH of statement {first.statement}"
            in self.stands(safe, statement_at(now_ms, "2"), "r-2").reason
        )
        assert isinstance(self.stands(safe, statement_at(now_ms + 1), "r-3"), asks.SafeStands)

    def test_an_owner_that_has_lost_its_memory_stands_for_no_statement_of_before(self, safe):
        now_ms = safe.now_ms
        one = safe.signers[1]
        one.kept = (dict.fromkeys(one.topics, 0), None)
        one.restart()
        safe.pass_time(200)
        asked = ask_of(statement_at(now_ms), "safe")
        signers_alone(safe, letter_of(asked), log="alice-safe")
        assert ["lost its memory" in unable.reason for unable in said(safe, HeadUnable)] == [True]
        assert [given.signer for given in said(safe, HeadShare)] == [2]

    def test_an_owner_signs_for_nobody_who_may_not_ask(self, safe):
        asked = ask_of(statement_at(safe.now_ms), "safe")
        signers_alone(safe, letter_of(asked, "alice"), log="alice-safe")
        assert ["not known here" in one.reason for one in said(safe, HeadUnable)] == [True, True]
        assert said(safe, HeadShare) == []

    def test_what_an_owner_says_that_is_not_of_this_message_counts_for_nothing(self, safe, monkeypatch):
        real = reserving.sign_as_owner

        def another(seed, vault, messages):
            return real(seed, vault, [bytes(32)] if seed == safe.signers[2].machine._keyfile.seed else messages)

        monkeypatch.setattr(reserving, "sign_as_owner", another)
        statement = statement_at(safe.now_ms)
        assert check_reserves(statement, document(statement, self.stands(safe, statement))) == {"ETH": 7}
        safe.actors.remove(safe.signers[3])
        reason = self.stands(safe, statement_at(safe.now_ms), "r-2").reason
        assert "signer 2: its signature is not of this message; signer 3: has not answered in time" in reason

    def test_the_commands_do_it(self, safe, tmp_path, monkeypatch):
        told = commands(safe, {"safe:31337/ETH": Owed(18, {"ann": 5})}, tmp_path, monkeypatch)
        assert "safe:31337/ETH: reserves 0.000000000000000007, owed 0.000000000000000005" in told

    def test_of_a_roster_that_does_not_fit_nothing_is_signed(self, safe):
        public = dealt(SECP256K1, 2, (1, 2, 3), seeded("owners"))[1].public
        with pytest.raises(CustodyError, match="is on safe:31337, and what is there is a key"):
            challenge_of(safe.roster.vaults, public, ask_of(statement_at(5), "safe"))


def test_a_challenge_is_behind_a_tag_that_no_transaction_has(office):
    """What is signed is SHA-256 of words that begin with the tag, which the signer made itself: 32 bytes, no Solana message."""
    here = office(("solana",))
    statement = statement_at(here.now_ms)
    here.post(letter_of(ask_of(statement)))
    stands = answer_to(here, ask_of(statement))
    words = {
        "statement": stands.statement, "epoch_ms": stands.epoch_ms, "chain": "solana:local", "asset": "SOL",
        "address": stands.address,
    }  # fmt: skip
    text = json.dumps(words, sort_keys=True, separators=(",", ":")).encode()
    message = sha256(b"m1cep.reserves.challenge.v1\0" + text).digest()
    from nacl.signing import VerifyKey

    VerifyKey(bytes.fromhex(stands.key)).verify(message, bytes.fromhex(stands.signature))


def test_who_has_lost_its_memory_stands_for_no_statement_of_before(office):
    """It may have signed another one of that moment."""
    here = office(("solana",))
    keyfile = here.signers[1].machine._keyfile
    now_ms = here.now_ms
    keyfile.held = {name: SimpleNamespace(share=one.share, since_ms=now_ms) for name, one in keyfile.held.items()}
    signers_alone(here, letter_of(ask_of(statement_at(now_ms))))
    assert ["lost its memory" in one.reason for one in said(here, HeadUnable)] == [True]
    assert [one.signer for one in said(here, HeadCommitment)] == [2]


class _Counter:
    """The command's, at an office in memory."""

    def __init__(self, here):
        self.here, self.send = here, here.post

    @property
    def view(self):
        return view_of(self.here)

    def wait(self, holds, _timeout_s):
        for _ in range(200):
            if holds(self.view):
                return True
            self.here.pass_time(500)
        return False


def commands(here, owed, tmp_path, monkeypatch):
    """From a statement to reserves: what the commands of custody and ledger say, the last one to everybody."""
    monkeypatch.setattr(custody_reserves, "who", lambda *_: (here.roster, pen("bob")))
    monkeypatch.setattr(custody_reserves, "counter_for", lambda _roster: nullcontext(_Counter(here)))
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "home"))

    def m1cep(*arguments):
        return CliRunner().invoke(app, [str(one) for one in arguments])

    out, holdings = tmp_path / "out", tmp_path / "holdings.csv"
    key = publish(tmp_path / "home", out, here.now_ms, owed)["signature"]["public_key"]
    rows = ["chain,asset,address,units,height,scheme,public_key,signature"]
    vaults = view_of(here).vaults.values()
    rows += [f"{vault.chain},{vault.chain}/{vault.asset},{vault.address},7,1,,," for vault in vaults]
    holdings.write_text("\n".join(rows) + "\n")
    attested = m1cep("custody", "attest", holdings, "--from", out, "--as", "bob", "--key", "bob.key")
    assert attested.output.count("has signed at") == len(vaults), attested
    again = m1cep("custody", "attest", holdings, "--from", out, "--as", "bob", "--key", "bob.key")
    assert "without a signature" in str(again.exception)
    for vault in vaults:
        assert 0 < vault.height <= here.nodes[vault.chain.partition(":")[0]].height
    assert m1cep("ledger", "reserves", holdings, "--from", out).exit_code == 0
    told = m1cep("ledger", "verify", out / "statement.json", "--reserves", out / "reserves.json", "--key", key)
    assert told.exit_code == 0, told.output
    return told.output


def test_the_commands_from_a_statement_to_reserves_that_anybody_verifies(office, tmp_path, monkeypatch):
    owed = {"bitcoin:regtest/BTC": Owed(8, {"ann": 5}), "solana:local/SOL": Owed(9, {"bob": 6})}
    told = commands(office(), owed, tmp_path, monkeypatch)
    assert "bitcoin:regtest/BTC: reserves 0.00000007, owed 0.00000005" in told


class TestStatements:
    """The statement itself, signed by the signers' own key."""

    @pytest.fixture
    def here(self, office):
        return office(("solana",), audit=True)

    @pytest.fixture
    def statement(self, here, tmp_path):
        owed = {"SOL": Owed(9, {"ann": 5})}
        return publish(tmp_path / "home", tmp_path / "out", here.now_ms, owed, sign=False)["statement"]

    def ask(self, of, name="s-1", **changes):
        digest = statement_digest(of).hex()
        plain = {"id": name, "vault": "audit", "asset": "statement", "statement": digest, "owed": of}
        return ReserveAsk(**{**plain, "epoch_ms": of["epoch_ms"], **changes})

    def test_the_command_has_it_signed_so_that_customers_verify_it(self, here, statement, tmp_path, monkeypatch):
        monkeypatch.setattr(custody_reserves, "who", lambda *_: (here.roster, pen("bob")))
        monkeypatch.setattr(custody_reserves, "counter_for", lambda _roster: nullcontext(_Counter(here)))
        asked = ["custody", "sign-statement", "--from", str(tmp_path / "out"), "--as", "bob", "--key", "bob.key"]
        done = CliRunner().invoke(app, [*asked, "--json"])
        assert done.exit_code == 0, done.exception
        assert json.loads(done.stdout)["statement"] == statement
        signed = json.loads((tmp_path / "out" / "statement.json").read_bytes())
        assert check_signed(signed, here.roster.audit.key) == statement

    def test_of_one_moment_one_is_signed(self, here, statement):
        here.post(letter_of(self.ask(statement)))
        first = answer_to(here, self.ask(statement))
        assert first.key == here.roster.audit.key
        other = {**statement, "previous": "0" * 64}
        here.post(letter_of(self.ask(other, "s-2")))
        assert f"stands for statement of statement {first.statement}" in answer_to(here, self.ask(other, "s-2")).reason

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"statement": "0" * 64}, "asked for was 0000"),
            ({"epoch_ms": START_MS + 1_500}, "asked for was"),
            ({"asset": "SOL"}, "asked for was"),
            ({"owed": None}, "expected a statement of what is owed"),
            (
                {
                    "owed": {
                        "format": "m1cep-liabilities-1",
                        "epoch_ms": 1,
                        "assets": {"SOL": {"decimals": 9, "total": "-1"}},
                    }
                },
                "total of SOL",
            ),
        ],
    )
    def test_a_signer_signs_nothing_but_a_statement_that_it_has_read(self, here, statement, changes, reason):
        signers_alone(here, letter_of(self.ask(statement, **changes)), log="audit")
        assert {one.signer for one in said(here, HeadUnable)} == {1, 2}
        assert [one.reason for one in said(here, HeadUnable) if reason not in one.reason] == []
        assert said(here, HeadCommitment) == []

    def test_the_key_of_a_vault_signs_no_statement(self, here, statement):
        signers_alone(here, letter_of(self.ask(statement, vault="alice-solana")))
        assert all("has SOL or solana:local/SOL" in one.reason for one in said(here, HeadUnable))
        assert said(here, HeadCommitment) == []

    def test_a_letter_that_no_signer_could_read_is_answered(self, here, statement):
        assets = {f"COIN{n}": statement["assets"]["SOL"] for n in range(400)}
        ask = self.ask({**statement, "assets": assets})
        here.post(letter_of(ask))
        assert "signers take 24576" in answer_to(here, ask).reason
