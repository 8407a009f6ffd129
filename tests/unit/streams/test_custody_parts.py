"""The parts around the coordinator: locks, the audit file, keys of people, what commands refuse, ceremonies asked for."""

import json

import pytest
from custodyoffice import Office, key_of, make_roster, pen
from typer.testing import CliRunner

from m1cep.custody.audit import Head, verify
from m1cep.custody.request import Kind, Lock, Request
from m1cep.errors import CustodyError
from streams.cli.main import app
from streams.custody import asks, locks
from streams.custody.journal import NAME, Journal, read_lines
from streams.custody.locks import LockBook, Standing
from streams.custody.mail import RELEASES
from streams.custody.seeds import load_pen, make_seed
from streams.custody.view import View
from streams.errors import ShellError, UsageError


def request(number=1, amount="5"):
    lock = Lock("w", "chain", "COIN", amount)
    return Request(f"r{number}", Kind.CROSS_CHAIN, "shop", "a", "v", "other", "TOKEN", "there", "1", 1, 2, lock=lock)


def do(book, what):
    return book.settle(request(), 5) if what == "settle" else getattr(book, what)(request())


class TestLocks:
    def test_what_stands_and_what_is_settled_is_set_aside(self):
        book = LockBook()
        for number in (1, 2, 3):
            book.place(request(number))
            book.place(request(number))
        book.settle(request(2), 5)
        book.give_back(request(3))
        assert book.set_aside("w") == 10
        assert book.set_aside("v") == 0

    @pytest.mark.parametrize(
        ("first", "then"),
        [("give_back", "place"), ("give_back", "settle"), ("settle", "give_back"), ("settle", "place")],
    )
    def test_what_is_over_stays_so(self, first, then):
        book = LockBook()
        book.place(request())
        do(book, first)
        before = book.standing("r1")
        with pytest.raises(CustodyError, match="r1"):
            do(book, then)
        assert book.standing("r1") is before

    def test_one_given_back_before_it_was_placed_is_never_placed(self):
        book = LockBook()
        book.give_back(request())
        with pytest.raises(CustodyError, match="was returned"):
            book.place(request())
        assert book.standing("r1") is Standing.RETURNED

    def test_of_those_that_are_over_the_last_are_remembered_and_all_that_stand(self, monkeypatch):
        monkeypatch.setattr(locks, "MOST_ENDED", 3)
        book = LockBook()
        for number in range(10):
            book.place(request(number))
        for number in range(1, 9):
            book.give_back(request(number))
        book.give_back(request(6))  # again
        assert set(book.entries) == {"r0", "r9", "r6", "r7", "r8"}
        assert book.set_aside("w") == 10


class TestJournal:
    def write(self, file, *bodies):
        journal = Journal(file)
        for body in bodies:
            journal.append("heard", body, 5)
        journal.flush()
        journal.close()

    def test_it_goes_on_where_it_ended(self, tmp_path):
        file = tmp_path / "deep" / "audit.jsonl"
        self.write(file, {"n": 1})
        self.write(file, {"n": 2})
        found = verify(NAME, read_lines(file))
        assert isinstance(found, Head)
        assert found.seq == 2
        assert file.stat().st_mode & 0o777 == 0o600

    def test_a_line_that_was_not_written_whole_is_taken_back(self, tmp_path):
        file = tmp_path / "audit.jsonl"
        self.write(file, {"n": 1}, {"n": 2})
        file.write_bytes(file.read_bytes()[:-10])
        self.write(file, {"n": 3})
        assert [json.loads(line)["body"]["n"] for line in read_lines(file)] == [1, 3]
        assert isinstance(verify(NAME, read_lines(file)), Head)

    def test_one_that_was_changed_is_refused(self, tmp_path):
        file = tmp_path / "audit.jsonl"
        self.write(file, {"n": 1}, {"n": 2})
        file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":7'))
        with pytest.raises(ShellError, match="entry 1 was changed"):
            Journal(file)

    def test_what_is_not_flushed_is_not_there(self, tmp_path):
        journal = Journal(tmp_path / "audit.jsonl")
        journal.append("heard", {}, 5)
        assert read_lines(tmp_path / "audit.jsonl") == []
        assert journal.head.seq == 1


class TestSeeds:
    def test_a_key_made_is_the_key_read(self, tmp_path):
        public = make_seed(tmp_path / "alice.key")
        assert load_pen("alice", tmp_path / "alice.key").verify_key == public
        with pytest.raises(UsageError, match="cannot make"):
            make_seed(tmp_path / "alice.key")

    def test_one_that_others_can_read_is_refused(self, tmp_path):
        make_seed(tmp_path / "alice.key")
        (tmp_path / "alice.key").chmod(0o640)
        with pytest.raises(UsageError, match="others can read"):
            load_pen("alice", tmp_path / "alice.key")

    def test_no_error_shows_what_is_in_the_file(self, tmp_path):
        file = tmp_path / "alice.key"
        file.write_text("a1b2c3" * 10)
        file.chmod(0o600)
        with pytest.raises(UsageError) as refused:
            load_pen("alice", file)
        assert "a1b2c3" not in str(refused.value)
        assert "60 characters" in str(refused.value)


class TestCeremoniesAskedFor:
    @pytest.fixture
    def office(self, tmp_path):
        office = Office(tmp_path, ("solana",))
        office.actors = [office.coordinator]
        yield office
        office.close()

    def answer(self, office, ask):
        office.desk_ask(asks.encode(ask))
        office.pass_time(300)
        view = View(office.roster)
        for record in office.topics[RELEASES]:
            view.take(record.value)
        return view.answers[ask.id]

    def test_no_second_key_for_a_vault_that_has_one(self, office):
        found = self.answer(office, asks.AskCeremony("c1", "keygen", "alice-solana"))
        assert not found.done
        assert "has a key" in found.reason

    def test_a_reshare_only_where_the_roster_names_others(self, office):
        found = self.answer(office, asks.AskCeremony("c1", "reshare", "alice-solana"))
        assert "names the same signers for vault alice-solana: m1cep custody refresh" in found.reason

    def test_one_at_a_time_and_said_twice_it_counts_once(self, office):
        first = asks.AskCeremony("c1", "refresh", "alice-solana")
        assert self.answer(office, first).done
        assert self.answer(office, first).done
        assert "is under way" in self.answer(office, asks.AskCeremony("c2", "refresh", "alice-solana")).reason

    def test_it_survives_a_restart_and_says_whom_it_waits_for(self, office):
        self.answer(office, asks.AskCeremony("c1", "refresh", "alice-solana"))
        office.coordinator.restart()
        office.pass_time(1_000)
        view = View(office.roster)
        for record in office.topics[RELEASES]:
            view.take(record.value)
        assert view.ceremonies["c1"].state == "going"
        assert "signer" in view.ceremonies["c1"].reason
        office.pass_time(121_000, 1_000)
        for record in office.topics[RELEASES]:
            view.take(record.value)
        assert view.ceremonies["c1"].state == "failed"
        assert "not finished in time" in view.ceremonies["c1"].reason


class TestCommands:
    """What is refused before anything is sent: there is no broker here."""

    @pytest.fixture
    def files(self, tmp_path):
        roster = make_roster(("bitcoin", "evm"))
        lines = ["[coordinator]", f'key = "{key_of("coordinator").hex()}"', "[requesters]"]
        public = make_seed(tmp_path / "shop.key").hex()
        lines += [f'shop = "{public}"', "[signers]"]
        lines += [f'{number} = "{key.hex()}"' for number, key in roster.signers.items()]
        for name, vault in roster.vaults.items():
            lines += [
                f"[vaults.{name}]",
                f'chain = "{vault.chain}"',
                'account = "alice"',
                "signers = [1, 2, 3]",
                "threshold = 2",
            ]
        (tmp_path / "custody.toml").write_text("\n".join(lines))
        return tmp_path

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("bob-btc", "x", "1"), "there is no vault 'bob-btc'"),
            (("alice-bitcoin", "TO", "0"), "must be above zero"),
            (("alice-bitcoin", "TO", "0.000000001"), "has 8 decimals, 0.000000001 has 9"),
            (("alice-bitcoin", "TO", "1e3"), "expected an amount of BTC"),
            (("alice-bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1"), "of Bitcoin's mainnet"),
            (("alice-bitcoin", "TO", "1", "--id", "two words"), "this is no request"),
            (("alice-bitcoin", "TO", "1", "--lock", "alice-bitcoin:1"), "has its lock in another vault"),
            (("alice-bitcoin", "TO", "1", "--lock", "nothing"), "--lock expects VAULT:AMOUNT"),
            (("alice-bitcoin", "TO", "1", "--escrow"), "an --escrow needs --not-before"),
            (("alice-bitcoin", "TO", "1", "--not-before", "9", "--expires", "5"), "expected not_before_ms"),
        ],
    )
    def test_a_request_that_cannot_be_meant(self, files, arguments, reason):
        to = Office.stranger(None, "bitcoin")
        given = [to if one == "TO" else one for one in arguments]
        common = ("--as", "shop", "--key", str(files / "shop.key"), "--custody", str(files / "custody.toml"))
        result = CliRunner().invoke(app, ["custody", "request", *given, *common])
        assert reason in str(result.exception)
        assert result.exit_code != 0

    def test_a_roster_with_an_unknown_key(self, files):
        file = files / "custody.toml"
        file.write_text(file.read_text() + '\n[singers]\n1 = "x"\n')
        result = CliRunner().invoke(app, ["custody", "status", "--custody", str(file)])
        assert "singers" in str(result.exception)

    def test_a_requester_and_a_signer_with_one_key(self, files):
        file = files / "custody.toml"
        text = file.read_text()
        shop = text.split('shop = "')[1][:64]
        file.write_text(text.replace(f'1 = "{key_of("signer-1").hex()}"', f'1 = "{shop}"'))
        result = CliRunner().invoke(app, ["custody", "status", "--custody", str(file)])
        assert "two parties have the same key" in str(result.exception)


def test_a_view_hears_nobody_in_anothers_name():
    roster = make_roster(("solana",))
    view = View(roster)
    body = asks.encode(asks.Answered("a", True, "yes"))
    for name in ("signer-1", "chains", "mallory"):
        view.take(pen(name).write(RELEASES, "k", "desk", body).value)
    view.take(b"nothing")
    view.take(None)
    assert view.answers == {}
    view.take(pen("coordinator").write(RELEASES, "k", "desk", body).value)
    assert view.answers["a"].done
