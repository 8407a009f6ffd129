"""``m1cep ledger prove|sign|proof|reserves|verify``: from balances to what customers check, and what is refused on the way."""

import csv
import json
import stat
import time

import pytest
from ledgerhouse import ACCOUNTS, Database, Keeper, Topic, account_event
from typer.testing import CliRunner

from m1cep.ledger.liabilities.verify_balance import base58, statement_digest
from streams.cli.ledger import app
from streams.ledger import statements
from streams.ledger.statements import owed_by_asset

nacl = pytest.importorskip("nacl.signing", reason="the extra custody is not installed")

BALANCES = "user,asset,units,decimals\nann,BTC,150,8\nbob,BTC,60,8\nann,USD,12345,2\ndan,USD,-500,2\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def ledger(home):  # noqa: ARG001 - its home
    def run(*arguments):
        return CliRunner().invoke(app, [str(part) for part in arguments])

    return run


@pytest.fixture
def published(ledger, tmp_path):
    """A statement of the balances, with its folder and key."""
    (tmp_path / "balances.csv").write_text(BALANCES)
    done = ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    return tmp_path / "out", json.loads(done.stdout)["signature"]["public_key"]


def proof_of(ledger, folder, user):
    done = ledger("proof", user, "--from", folder)
    assert done.exit_code == 0, done.exception
    path = folder.parent / f"{user}.json"
    path.write_text(done.stdout)
    return path


def test_a_customer_checks_their_balance_and_anybody_the_totals(published, ledger):
    folder, key = published
    done = ledger("verify", proof_of(ledger, folder, "ann"), "--user", "ann", "--key", key)
    assert (done.exit_code, done.stdout.splitlines()[:2]) == (
        0,
        ["BTC: 0.00000150 of ann is in the total", "USD: 123.45 of ann is in the total"],
    )
    done = ledger("verify", folder / "statement.json", "--leaves", f"BTC={folder / 'BTC.leaves'}", "--key", key)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (
        0,
        "BTC: the published leaves make the root and the total",
    )
    assert ledger("verify", proof_of(ledger, folder, "ann"), "--user", "bob", "--key", key).exit_code == 1


def test_a_debt_is_nobody_s_money_and_is_told(ledger, tmp_path):
    (tmp_path / "balances.csv").write_text(BALANCES)
    done = ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "out")
    assert "USD: 123.45 owed to 1 customers; 1 below zero left out" in done.stdout


def test_what_is_kept_is_for_its_owner_and_what_is_published_tells_nothing(published, home):
    folder, _ = published
    kept = {path.name: path for path in (home / "ledger").iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.values()} == {0o600}
    public = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".py")
    for secret in (kept["liabilities.secret"].read_bytes(), kept["liabilities.key"].read_bytes(), b"ann", b"bob"):
        assert secret not in public
        assert secret.hex().encode() not in public


def test_statements_follow_each_other_and_are_never_changed(published, ledger, tmp_path):
    folder, _ = published
    first = json.loads((folder / "statement.json").read_bytes())["statement"]
    refused = ledger("prove", "--balances", tmp_path / "balances.csv", "--out", folder)
    assert "is there already" in str(refused.exception)
    ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "next")
    second = json.loads((tmp_path / "next" / "statement.json").read_bytes())["statement"]
    assert second["previous"] == statement_digest(first).hex()
    assert (
        second["assets"]["BTC"]["root"] != first["assets"]["BTC"]["root"]
    )  # the leaves are others, though the balances are not


class Killed(BaseException):
    """As kill -9: nothing is tidied up."""


@pytest.mark.parametrize("ended_at", ["named", "begun", "written"])
def test_a_statement_whose_maker_is_killed_at_any_moment_leaves_one_chain(
    published, ledger, home, tmp_path, monkeypatch, ended_at
):
    first = json.loads((published[0] / "statement.json").read_bytes())["statement"]
    balances = owed_by_asset([("ann", "BTC", 5, 8)])
    whole = statements.replace

    def killed(path, data):
        if path.name == "last-statement" and ended_at == "named":
            raise Killed
        whole(path, data)
        if (path.name, ended_at) in {("next-statement", "begun"), ("last-statement", "written")}:
            raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(statements, "replace", killed)
        with pytest.raises(Killed):
            statements.publish(home, tmp_path / "half", time.time_ns() // 1_000_000, balances)
    assert (tmp_path / "half").is_dir() is (ended_at != "begun")
    done = ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "next")
    assert done.exit_code == 0, done.exception
    before = first if ended_at == "begun" else statements.read_statement(tmp_path / "half")["statement"]
    found = statements.read_statement(tmp_path / "next")["statement"]
    assert found["previous"] == statement_digest(before).hex()
    assert not (home / "ledger" / "next-statement").exists()


def test_two_statements_are_not_made_at_once(ledger, home, tmp_path):
    (tmp_path / "balances.csv").write_text(BALANCES)
    refused = []

    def meanwhile(*_):
        refused.append(ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "two"))

    owed = owed_by_asset([("ann", "BTC", 5, 8)])
    statements.publish(home, tmp_path / "one", time.time_ns() // 1_000_000, owed, progress=meanwhile)
    assert "another statement is being made" in str(refused[0].exception)
    assert not (tmp_path / "two").exists()


def test_a_group_signs_elsewhere(ledger, tmp_path):
    (tmp_path / "balances.csv").write_text(BALANCES)
    out = tmp_path / "out"
    ledger("prove", "--balances", tmp_path / "balances.csv", "--out", out, "--unsigned")
    assert "is not signed" in str(ledger("proof", "ann", "--from", out).exception)
    group = nacl.SigningKey(b"g" * 32)
    key = bytes(group.verify_key).hex()
    digest = statement_digest(json.loads((out / "statement.json").read_bytes())["statement"])
    wrong = ledger("sign", "--from", out, "--scheme", "ed25519", "--key", key, "--signature", "00" * 64)
    assert "is no signature of the statement" in str(wrong.exception)
    signature = group.sign(digest).signature.hex()
    assert ledger("sign", "--from", out, "--scheme", "ed25519", "--key", key, "--signature", signature).exit_code == 0
    assert ledger("verify", proof_of(ledger, out, "ann"), "--user", "ann", "--key", key).exit_code == 0


def test_the_keys_of_addresses_sign_for_the_reserves(published, ledger, tmp_path):
    folder, key = published
    vault = nacl.SigningKey(b"v" * 32)
    row = {
        "chain": "solana:localnet",
        "asset": "BTC",
        "address": base58(bytes(vault.verify_key)),
        "units": "210",
        "height": "7",
        "scheme": "ed25519",
        "public_key": bytes(vault.verify_key).hex(),
        "signature": "",
    }

    def write(**changes):
        with (tmp_path / "holdings.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row | changes)

    write()
    asked = ledger("reserves", tmp_path / "holdings.csv", "--from", folder).stdout
    challenge = bytes.fromhex(asked.split()[-1])
    write(signature="00" * 64)
    assert "the reserves are not written" in str(
        ledger("reserves", tmp_path / "holdings.csv", "--from", folder).exception
    )
    assert not (folder / "reserves.json").exists()
    write(signature=vault.sign(challenge).signature.hex())
    told = ledger("reserves", tmp_path / "holdings.csv", "--from", folder)
    assert told.stdout.splitlines() == [
        "BTC: reserves 0.00000210, 0.00000210 owed: covered",
        "USD: 123.45 owed, no address has signed",
    ]
    done = ledger("verify", folder / "statement.json", "--reserves", folder / "reserves.json", "--key", key)
    assert done.exit_code == 1  # there is nothing for the USD
    assert "USD: reserves 0.00, owed 123.45: less than what is owed" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,asset\nann,BTC\n", "expected the columns user, asset, units, decimals"),
        ("user,asset,units,decimals\nann,BTC,1.5,8\n", "expected a whole number as units, got '1.5'"),
        ("user,asset,units,decimals\nann,BTC,1\n", "line 2: expected 4 fields"),
        (f"user,asset,units,decimals\nann,BTC,{2**112},8\n", "expected a balance from 0 to"),
        ("user,asset,units,decimals\nann,BTC,5,8\nann,BTC,3,8\n", "'ann' has two balances of BTC"),
        ("user,asset,units,decimals\nann,BTC,5,8\nann,BTC,-3,8\n", "'ann' has two balances of BTC"),
        ("user,asset,units,decimals\nann,BTC,5,8\nbob,BTC,5,6\n", "BTC has 8 decimals, and of 'bob' it has 6"),
        ("user,asset,units,decimals\nann,BTC,5,-2\n", "asset BTC: expected 0 to 30 decimals"),
        ("user,asset,units,decimals\nann,,5,8\n", "printable characters as asset"),
        ('user,asset,units,decimals\nann,"B\nTC",5,8\n', "printable characters as asset"),
        (f"user,asset,units,decimals\nann,{'/' * 90},5,8\n", "too long for the name of a file"),
        ("user,asset,units,decimals\nann,BTC,1_000,8\n", "expected a whole number as units, got '1_000'"),
        ("user,asset,units,decimals,user\nann,BTC,1,8,bob\n", "expected the columns user, asset, units, decimals"),
        ('user,asset,units,decimals\nann,BTC,1,"8\nbob,BTC,9,8\n', "cannot be read"),
    ],
)
def test_balances_that_cannot_be_read_prove_nothing(ledger, tmp_path, text, said):
    (tmp_path / "balances.csv").write_text(text)
    done = ledger("prove", "--balances", tmp_path / "balances.csv", "--out", tmp_path / "out")
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_leaves_that_were_changed_since_prove_nothing(published, ledger):
    folder, _ = published
    data = (folder / "BTC.leaves").read_bytes()
    (folder / "BTC.leaves").write_bytes(b"\0" * 11 + b"\x07" + data[12:])
    assert "are not those of its statement" in str(ledger("proof", "ann", "--from", folder).exception)


def test_the_books_clients_are_proven_from_the_database(postgres, ledger, monkeypatch, tmp_path):
    database, topic = Database(postgres), Topic()
    topic.add(
        ACCOUNTS, account_event(1, "deposit", amount="250"), account_event(2, "deposit", account="bob", amount="1.5")
    )
    keeper = Keeper(database, topic)
    keeper.run()
    keeper.close()
    for name, value in database.env.items():
        monkeypatch.setenv(name, value)
    done = ledger("prove", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert "USD: 251.50000000 owed to 2 customers" in done.stdout
