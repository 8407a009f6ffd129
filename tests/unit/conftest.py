"""For all unit tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Commands run in this process: what is set for the tests themselves, such as M1CEP_CASES, is no setting."""
    for name in [name for name in os.environ if name.startswith("M1CEP_")]:
        monkeypatch.delenv(name)
