"""For all unit tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Commands run in this process: what is set for the tests themselves, such as M1CEP_CASES, is no setting."""
    for name in [name for name in os.environ if name.startswith("M1CEP_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def safe_home(tmp_path_factory):
    """M1CEP_HOME with the Safe's contracts; skips where they cannot be fetched."""
    from streams.chains.safe import safe_code
    from streams.errors import PackageIndexError

    home = tmp_path_factory.mktemp("home")
    try:
        safe_code(home / "safe")
    except PackageIndexError as error:
        pytest.skip(f"the Safe's contracts cannot be had: {error}")
    return home
