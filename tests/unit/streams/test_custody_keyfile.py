"""A signer's keyfile: what survives, and how what cannot be opened is told apart."""

import copy
import json
import pickle
import traceback

import pytest
from frostworld import Run, dealt, identities, roster, seeded

from m1cep.custody.frost import ED25519, TAPROOT
from m1cep.custody.frost.terms import new_key
from m1cep.errors import CustodyError
from streams import durable
from streams.custody.keyfile import Keyfile
from streams.custody.strongbox import WEAK
from streams.errors import ShellError, UsageError

RANDOM = seeded("keyfile")
WORDS = "an open sesame"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signer-2.key"


@pytest.fixture
def file(path):
    return Keyfile.create(path, 2, WORDS, WEAK)


def again(file, passphrase=WORDS):
    file.close()
    return Keyfile.open(file.path, passphrase)


def share(suite=ED25519, epoch=0, seed="a", number=2):
    return dealt(suite, 2, (1, 2, 3), seeded(seed), epoch)[number]


def pending(suite=TAPROOT):
    people = identities((1, 2, 3), RANDOM)
    run = Run(new_key(suite, RANDOM(32), 2, roster(people)), RANDOM)
    return run.finish(2, run.second())


def test_all_that_was_put_in_is_there_after_a_restart(file):
    key, waiting = file.identity().verify_key, pending()
    file.restore("v", share(), 77)
    file.keep_waiting("c1", "w", waiting)
    opened = again(file)
    assert (opened.number, opened.identity().verify_key) == (2, key)
    assert opened.held["v"].share == share()
    assert opened.held["v"].since_ms == 77
    assert opened.waiting["c1"].vault == "w"
    assert opened.waiting["c1"].pending.encode() == waiting.encode()


def test_an_activated_share_takes_the_place_of_the_old_one_and_of_all_that_waits_for_the_vault(file):
    file.restore("v", share(), 0)
    file.keep_waiting("c1", "v", pending())
    file.keep_waiting("c2", "v", pending())
    file.keep_waiting("c3", "other", pending())
    file.activate("c1", share(epoch=1), 0)
    opened = again(file)
    assert opened.held["v"].share.public.epoch == 1
    assert opened.held["v"].ceremony == "c1"
    assert list(opened.waiting) == ["c3"]


def test_the_old_share_is_not_in_the_file_any_more(file):
    from nacl.secret import SecretBox

    def plain():
        box = file.path.read_bytes().split(b"\n", 2)[2]
        return SecretBox(file._key.reveal()).decrypt(box)

    old = share()
    file.restore("v", old, 0)
    assert old.secret.reveal() in plain()
    file.keep_waiting("c1", "v", pending())
    file.activate("c1", share(epoch=1, seed="b"), 0)
    assert old.secret.reveal() not in plain()


def test_nothing_secret_is_readable_in_the_file_and_only_its_owner_may_read_it(file):
    file.restore("v", share(), 0)
    written = file.path.read_bytes()
    assert share().secret.reveal() not in written
    assert file.seed.reveal() not in written
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_may_read_is_refused(file):
    file.close()
    file.path.chmod(0o640)
    with pytest.raises(UsageError, match="read or written by others; chmod 600"):
        Keyfile.open(file.path, WORDS)


def test_every_way_of_not_opening_has_its_own_name(file, path):
    file.close()
    whole = path.read_bytes()
    with pytest.raises(UsageError, match="passphrase is wrong"):
        Keyfile.open(path, "another")
    with pytest.raises(UsageError, match="must not be empty"):
        Keyfile.open(path, "")
    title, header, box = whole.split(b"\n", 2)
    for content, expected in (
        (whole[:-1], "is damaged"),
        (whole[: len(title) + 9], "is damaged"),
        (whole[:-20] + b"\0" + whole[-19:], "is damaged"),
        (b"", "is no keyfile"),
        (b'{"some": "json"}\n', "is no keyfile"),
        (whole.replace(b"keyfile 1\n", b"keyfile 2\n"), "another version than 1"),
        (title + b"\n" + header.replace(b'"ops":1', b'"ops":9999') + b"\n" + box, "is damaged"),
    ):
        durable.replace(path, content)
        with pytest.raises(ShellError, match=expected):
            Keyfile.open(path, WORDS)
    with pytest.raises(UsageError, match="cannot be read"):
        Keyfile.open(path.with_name("none"), WORDS)
    durable.replace(path, whole)
    Keyfile.open(path, WORDS)


@pytest.mark.usefixtures("file")
def test_a_keyfile_is_never_overwritten(path):
    with pytest.raises(UsageError, match="is there already"):
        Keyfile.create(path, 2, WORDS, WEAK)
    with pytest.raises(UsageError, match="from 1 to 255"):
        Keyfile.create(path.with_name("new"), 0, WORDS, WEAK)


def test_two_processes_cannot_write_one_keyfile_but_another_may_read_it(file):
    with pytest.raises(UsageError, match="in use by another process"):
        Keyfile.open(file.path, WORDS)
    assert Keyfile.open(file.path, WORDS, to_read=True).number == 2
    file.close()
    Keyfile.open(file.path, WORDS)


def test_a_failing_disk_leaves_the_file_as_it_was(file, monkeypatch):
    file.restore("v", share(), 0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "create", full)
    with pytest.raises(UsageError, match="No space left"):
        file.keep_waiting("c1", "v", pending())
    monkeypatch.undo()
    assert list(again(file).held) == ["v"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (share(number=3), "is of signer 3"),
        (share(seed="b"), "another key"),
        (share(epoch=0), "keep it"),
    ],
)
def test_a_share_that_is_not_this_ones_or_too_old_is_not_taken_from_a_backup(file, other, reason):
    file.restore("v", share(epoch=1), 0)
    with pytest.raises(CustodyError, match=reason):
        file.restore("v", other, 0)
    assert file.held["v"].share.public.epoch == 1


def test_a_file_whose_contents_do_not_fit_says_so_without_showing_them(file):
    file._seed = type(file._seed)("no bytes but text")  # encodes, and is refused when it is read
    file._save()
    file.close()
    with pytest.raises(ShellError, match="not what a keyfile holds") as caught:
        Keyfile.open(file.path, WORDS)
    assert "no bytes" not in "".join(traceback.format_exception(caught.value))


def test_it_does_not_show_what_it_holds(file):
    file.restore("v", share(), 0)
    secrets = [file.seed.reveal().hex(), repr(file.seed.reveal()), share().secret.reveal().hex()]
    for shown in (repr(file), repr(file.held), repr(file.waiting)):
        assert not any(secret in shown for secret in secrets)
    for refused in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            refused(file)
