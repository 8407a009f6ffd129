"""The broker's executable is run only when it is the one that was released."""

import hashlib
import os

import pytest

from streams.embedded.executable import checked_executable, tansu_executable
from streams.errors import ServerError

PROGRAM = b"#!/bin/sh\necho hello\n"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()


@pytest.fixture
def installed(tmp_path):
    path = tmp_path / "site" / "tansu"
    path.parent.mkdir()
    path.write_bytes(PROGRAM)
    path.chmod(0o755)
    return path


@pytest.fixture
def private(tmp_path):
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    return path


def test_the_installed_one_is_the_one_we_know(private):
    found = tansu_executable(private)
    assert found.name.startswith("tansu")
    assert os.access(found, os.X_OK)


def test_one_changed_byte_is_refused_and_both_digests_are_named(installed, private):
    installed.write_bytes(PROGRAM + b"#")
    with pytest.raises(ServerError, match=f"expected sha256 {DIGEST}, found [0-9a-f]{{64}}; it was not run") as caught:
        checked_executable(installed, DIGEST, private)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_run_is_run_from_a_private_copy(installed, private):
    installed.chmod(0o644)
    copy = checked_executable(installed, DIGEST, private)
    assert copy.parent == private
    assert copy.read_bytes() == PROGRAM
    assert copy.stat().st_mode & 0o777 == 0o700
    assert checked_executable(installed, DIGEST, private) == copy
    assert [p.name for p in private.iterdir()] == [copy.name]


def test_a_private_copy_that_was_changed_is_refused(installed, private):
    installed.chmod(0o644)
    checked_executable(installed, DIGEST, private).write_bytes(b"#!/bin/sh\necho evil\n")
    with pytest.raises(ServerError, match="not the program that was released"):
        checked_executable(installed, DIGEST, private)


def test_a_missing_file_is_reported_with_the_remedy(installed, private):
    installed.unlink()
    with pytest.raises(ServerError, match=r"cannot be read: No such file.*M1CEP_BROKER"):
        checked_executable(installed, DIGEST, private)
