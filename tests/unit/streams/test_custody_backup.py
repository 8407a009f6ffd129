"""Shares as words, back from them, and the whole key: the functions, and the commands as an operator calls them."""

import itertools

import pytest
from frostworld import SUITES, dealt, seeded
from typer.testing import CliRunner

from m1cep.custody.frost.suite import Suite
from m1cep.errors import CustodyError, M1cepError
from streams.cli import custody_keys
from streams.custody.backup import Check, back_up, bring_back, whole_key
from streams.custody.keyfile import Keyfile
from streams.custody.strongbox import WEAK
from streams.errors import UsageError


def shares(suite: Suite, seed="a"):
    return dealt(suite, 3, range(1, 6), seeded(("backup", seed)))


@pytest.mark.parametrize("name", SUITES)
def test_enough_of_the_lists_give_the_share_back(name):
    share = shares(SUITES[name])[4]
    made = back_up("v", share, 2, 3)
    for some in itertools.combinations(made.words, 2):
        assert bring_back(some, made.check) == share
    with pytest.raises(CustodyError, match="give nothing"):
        bring_back(made.words[:1], made.check)


def test_a_wrong_passphrase_or_another_backup_is_found_by_the_check():
    key = shares(SUITES["ed25519"])
    made, other = back_up("v", key[1], 1, 1, "xyzzy"), back_up("v", key[2], 1, 1)
    assert bring_back(made.words, made.check, "xyzzy") == key[1]
    for words, passphrase in ((made.words, "xyzzz"), (made.words, ""), (other.words, "")):
        with pytest.raises(CustodyError, match="another backup's, or the passphrase is another"):
            bring_back(words, made.check, passphrase)


def test_a_mistyped_word_is_refused_without_being_shown():
    made = back_up("v", shares(SUITES["ed25519"])[1], 1, 1)
    word = made.words[0].split()[7]
    for wrong in ("sesame", "academic" if word != "academic" else "acid"):
        with pytest.raises(CustodyError, match="give nothing") as caught:
            bring_back([made.words[0].replace(word, wrong)], made.check)
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("numbers", [(0, 1), (3, 2), (1, 3), (2, 17)])
def test_numbers_of_lists_that_cannot_be(numbers):
    with pytest.raises(UsageError, match="lists cannot be"):
        back_up("v", shares(SUITES["ed25519"])[1], *numbers)


def test_a_check_is_read_strictly_and_holds_no_secret():
    share = shares(SUITES["secp256k1"])[1]
    check = back_up("v", share, 1, 1).check
    assert Check.decode(check.encode()) == check
    assert share.secret.reveal().hex() not in check.encode().decode()
    for wrong in (
        b"{}",
        b"\xff",
        check.encode().replace(b"secp256k1", b"secp999k1"),
        check.encode().replace(b"check 1", b"check 2"),
        check.encode().replace(b'"vault"', b'"volt"'),
        check.encode().replace(check.public[-8:].encode(), b"00000000"),
    ):
        with pytest.raises(CustodyError, match="check"):
            Check.decode(wrong)


@pytest.mark.parametrize("name", SUITES)
def test_three_of_five_give_the_whole_key(name):
    suite, key = SUITES[name], shares(SUITES[name])
    for three in itertools.combinations(key.values(), 3):
        assert suite.base_mul(whole_key(three).reveal()) == key[1].public.group
    with pytest.raises(CustodyError, match="too few"):
        whole_key([key[1], key[2]])


# -- the commands

RUN = CliRunner()


class Desk:
    """A folder with keyfiles of signers who share a key."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.key = folder, shares(SUITES["secp256k1"])
        (folder / "pass").write_text("open sesame\n")
        monkeypatch.setenv("M1CEP_SIGNER_PASSPHRASE_FILE", str(folder / "pass"))
        monkeypatch.chdir(folder)
        for number in (1, 2, 3):
            file = Keyfile.create(folder / f"{number}.key", number, "open sesame", WEAK)
            file.restore("v", self.key[number], 0)
            file.close()

    def run(self, command, *arguments, **more):
        import typer

        app = typer.Typer()
        app.command()(command)
        result = RUN.invoke(app, [str(one) for one in arguments], **more)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return Desk(tmp_path, monkeypatch)


def test_an_identity_is_made_once_and_shown_again(desk, monkeypatch):
    monkeypatch.setattr("streams.custody.keyfile.STRONG", WEAK)
    monkeypatch.setattr(Keyfile.create.__func__, "__defaults__", (WEAK,))
    line = desk.run(custody_keys.identity, "--signer", 7, "--keyfile", "7.key")
    number, key = line.split(" = ")
    assert (number, len(bytes.fromhex(key.strip().strip('"')))) == ("7", 32)
    assert desk.run(custody_keys.identity, "--signer", 7, "--keyfile", "7.key") == line
    with pytest.raises(UsageError, match="is of signer 7, not of signer 8"):
        desk.run(custody_keys.identity, "--signer", 8, "--keyfile", "7.key")


def test_a_share_goes_to_paper_and_into_a_new_keyfile(desk):
    printed = desk.run(custody_keys.backup, "v", "--keyfile", "2.key", "--check", "check.json", "--lists", "2 of 3")
    lists = [line for line in printed.splitlines() if not line.startswith("#")]
    assert len(lists) == 3
    (desk.folder / "2.key").unlink()
    new = Keyfile.create(desk.folder / "2.key", 2, "open sesame", WEAK)
    new.close()
    (desk.folder / "words").write_text("# copied from paper\n" + "\n".join(lists[1:]) + "\n")
    desk.run(custody_keys.restore, "--keyfile", "2.key", "--check", "check.json", "--words", "words")
    held = Keyfile.open(desk.folder / "2.key", "open sesame").held["v"]
    assert held.share == desk.key[2]
    assert held.since_ms > 1_700_000_000_000  # what was asked for before is not signed


def test_words_are_taken_from_the_keyboard(desk):
    printed = desk.run(custody_keys.backup, "v", "--keyfile", "2.key", "--check", "check.json", "--lists", "1 of 1")
    typed = printed.splitlines()[1] + "\n\n"
    assert "again" in desk.run(custody_keys.restore, "--keyfile", "2.key", "--check", "check.json", input=typed)


def test_a_check_is_never_overwritten(desk):
    (desk.folder / "check.json").write_text("mine")
    with pytest.raises(UsageError, match="must not be there yet"):
        desk.run(custody_keys.backup, "v", "--keyfile", "2.key", "--check", "check.json")


def test_the_whole_key_from_two_keyfiles_and_a_backup(desk):
    printed = desk.run(custody_keys.backup, "v", "--keyfile", "3.key", "--check", "check.json")
    (desk.folder / "words").write_text("\n".join(printed.splitlines()[1:3]))
    files = ["--keyfile", "1.key", "--keyfile", "2.key", "--passphrase-file", "pass", "--passphrase-file", "pass"]
    said = desk.run(custody_keys.recover, "v", *files, "--check", "check.json", "--words", "words", "--out", "key")
    key = (desk.folder / "key").read_text().strip()
    assert SUITES["secp256k1"].base_mul(bytes.fromhex(key)) == desk.key[1].public.group
    assert (desk.folder / "key").stat().st_mode & 0o777 == 0o600
    assert "SWEEP" in said
    assert key not in said


def test_too_few_give_no_key_and_no_file(desk):
    files = ["--keyfile", "1.key", "--keyfile", "2.key"]
    with pytest.raises(M1cepError, match="2 shares are too few; this key needs 3"):
        desk.run(custody_keys.recover, "v", *files, "--out", "key", input="open sesame\nopen sesame\n")
    assert not (desk.folder / "key").exists()


def test_a_passphrase_comes_from_one_place(desk, monkeypatch):
    arguments = (custody_keys.backup, "v", "--keyfile", "1.key", "--check", "c")
    monkeypatch.setenv("M1CEP_SIGNER_PASSPHRASE", "open sesame")
    with pytest.raises(UsageError, match="from one place"):
        desk.run(*arguments)
    monkeypatch.delenv("M1CEP_SIGNER_PASSPHRASE_FILE")
    desk.run(*arguments)
    monkeypatch.delenv("M1CEP_SIGNER_PASSPHRASE")
    with pytest.raises(UsageError, match="M1CEP_SIGNER_PASSPHRASE_FILE"):
        desk.run(*arguments)
