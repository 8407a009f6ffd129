"""A folder that is gone with its process, and what killed processes left."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from streams.embedded import scratch
from streams.embedded.scratch import scratch_folder
from streams.embedded.unprivileged import User, reachable
from streams.errors import ServerError

OLD_S = 3_600


@pytest.fixture
def place(monkeypatch):
    """Where temporary folders are made; unlike pytest's, every user can pass through."""
    with tempfile.TemporaryDirectory(prefix="m1cep-test-") as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def left(place, name="m1cep-books-left"):
    """What a process that was killed long ago has left."""
    folder = place / name
    (folder / "data").mkdir(parents=True)
    age_to(folder, OLD_S)
    return folder


def age_to(folder, seconds):
    os.utime(folder, (time.time() - seconds,) * 2)


def test_it_is_there_for_everybody_to_pass_through_and_then_it_is_not(place):
    with scratch_folder("books") as folder:
        assert folder.parent == place
        assert reachable(folder)
        (folder / "data").mkdir()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed(place):
    mine, others = left(place), left(place, "m1cep-other-left")
    with scratch_folder("books"):
        assert not mine.exists()
    assert others.exists()


def test_what_a_process_holds_or_has_just_made_stays(place):
    with scratch_folder("books") as first:
        age_to(first, OLD_S)
        young = left(place)
        age_to(young, 0)
        with scratch_folder("books") as second:
            assert first.exists()
            assert young.exists()
            assert second != first


def test_where_servers_run_as_another_user_it_is_where_that_one_can_go(place, monkeypatch):
    monkeypatch.setattr(scratch, "ROOTS_PLACE", place / "var")
    monkeypatch.setattr(scratch, "server_user", lambda: User("nobody", 65_534, 65_534))
    private = place / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    with scratch_folder("books") as folder:
        assert folder.parent == place / "var"
        assert reachable(folder)
    assert list((place / "var").iterdir()) == []


def test_no_place_is_said_with_what_to_do(place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place / "nowhere"))
    monkeypatch.setattr(scratch, "server_user", lambda: None)
    with (
        pytest.raises(ServerError, match=r"no folder can be made in .*nowhere: No such file") as caught,
        scratch_folder("x"),
    ):
        pass
    assert "TMPDIR" in caught.value.remedy
