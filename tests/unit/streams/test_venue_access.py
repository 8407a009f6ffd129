"""Which venue, and with whose key: the settings, and that nobody sees the key."""

import os
import traceback

import pytest

from streams.config import load_settings
from streams.errors import UsageError
from streams.gateways.access import venue_access
from streams.logs import without_secrets

WHOLE = {"": "binance", "_ACCOUNT": "desk-1", "_KEY": "key-7Gf", "_SECRET": "open:sesame'7%"}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("M1CEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def access(monkeypatch):
    """That of the whole settings, some of them otherwise; None: not set."""

    def found(**changed):
        for name, value in (WHOLE | changed).items():
            if value is not None:
                monkeypatch.setenv(f"M1CEP_VENUE{name}", value)
        return venue_access(load_settings())

    return found


def test_no_venue_unless_one_is_named():
    assert venue_access(load_settings()) is None


def test_what_ccxt_is_told(access):
    found = access(_PASSWORD="pass-3", _SETTLE_S="4", _SANDBOX="true")
    assert (found.name, found.account, found.sandbox, found.url, found.settle_s) == ("binance", "desk-1", True, "", 4.0)
    assert found.config() == {
        "apiKey": "key-7Gf",
        "secret": "open:sesame'7%",
        "password": "pass-3",
        "options": {"recvWindow": 2_000},  # so that a request cannot arrive after we have given it up
    }


def test_the_secret_may_be_in_a_file(access, tmp_path):
    (tmp_path / "secret").write_text("from a file\n")
    found = access(_SECRET=None, _SECRET_FILE="secret")
    assert (found.secret, "password" in found.config()) == ("from a file", False)


def test_nobody_sees_key_secret_or_password(access):
    found = access(_PASSWORD="pass-3")
    shown = f"{found!r} {found} {found.config()}"
    for secret in ("key-7Gf", "sesame", "pass-3"):
        assert secret not in shown
    assert without_secrets("a line with key-7Gf, open:sesame'7% and pass-3") == "a line with ***, *** and ***"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"": None}, "M1CEP_VENUE_ACCOUNT is set, but not M1CEP_VENUE;"),
        ({"_ACCOUNT": None}, "M1CEP_VENUE is set, but not M1CEP_VENUE_ACCOUNT"),
        ({"_KEY": None}, "M1CEP_VENUE is set, but not M1CEP_VENUE_KEY"),
        ({"_SECRET": None}, "set either M1CEP_VENUE_SECRET or M1CEP_VENUE_SECRET_FILE"),
        ({"_SECRET_FILE": "too"}, "set either M1CEP_VENUE_SECRET or M1CEP_VENUE_SECRET_FILE"),
        ({"_SECRET": None, "_SECRET_FILE": "missing"}, "M1CEP_VENUE_SECRET_FILE: expected a secret"),
        ({"_URL": "http://api.example.com"}, "expected https://host, or http://host on this machine"),
        ({"_URL": "localhost:80"}, "expected https://host, or http://host on this machine"),
        ({"_URL": "http://["}, "expected https://host, or http://host on this machine"),
        ({"_SETTLE_S": "0"}, "M1CEP_VENUE_SETTLE_S: input should be greater than 0"),
    ],
)
def test_what_does_not_fit_is_named(access, changed, said):
    with pytest.raises(UsageError) as caught:
        access(**changed)
    text = "".join(traceback.format_exception(caught.value))
    assert said in text
    assert "sesame" not in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("url", ["https://api.example.com", "http://127.0.0.1:8080", "http://localhost:1"])
def test_other_addresses(access, url):
    assert access(_URL=url).url == url
