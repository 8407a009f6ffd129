"""Who did it: also where the machine has no name for the user."""

import pwd

import pytest

from streams.cache.in_force import InForce
from streams.user import user_name


def test_the_user_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    assert user_name() == "ann"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_as_in_a_container_can_change_lists(monkeypatch, error):
    def unknown(uid):
        raise error(uid)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("os.getuid", lambda: 10001)
    assert InForce(client=None).about("")["by"] == "uid-10001"
