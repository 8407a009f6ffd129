"""Which store of snapshots a setting means, and which addresses are refused."""

import traceback

import pytest
from pydantic import SecretStr

from streams.config import load_settings
from streams.errors import UsageError
from streams.snapshots import open_store

pytest.importorskip("psycopg", reason="the extra postgres is not installed")
CLUSTER = "a-cluster"


def test_a_folder_for_each_cluster_and_group_unless_a_server_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("M1CEP_STATE_URL", raising=False)
    settings = load_settings(state_dir=tmp_path)
    store = open_store(settings.state_url, settings.state_dir, CLUSTER, "g")
    assert store.where == f"{tmp_path}/snapshots/{CLUSTER}/g"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("M1CEP_STATE_URL", "postgresql://me:hidden@localhost:5432/risk")
    settings = load_settings()
    assert "hidden" not in repr(settings)
    assert open_store(settings.state_url, tmp_path, CLUSTER, "g").where == "postgresql://me@localhost:5432/risk"


@pytest.mark.parametrize(
    "url",
    ["postgresql//me:hidden@localhost", "redis://me:hidden@localhost", "postgresql://me:hidden@h?%00=1", "hidden"],
)
def test_what_is_no_address_is_refused_without_showing_it(url, tmp_path):
    with pytest.raises(
        UsageError, match="M1CEP_STATE_URL is not the address of a PostgreSQL; expected postgres"
    ) as caught:
        open_store(SecretStr(url), tmp_path, CLUSTER, "g")
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("host", ["db.example", "10.0.0.5", "localhost,db.example", "[2001:db8::1]"])
def test_a_server_elsewhere_is_refused_without_encryption(host, tmp_path, monkeypatch):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    url = f"postgresql://me:hidden@{host}/risk"
    for mode in ("", "?sslmode=prefer", "?sslmode=disable"):
        with pytest.raises(UsageError, match="might not be encrypted; add sslmode=verify-full") as caught:
            open_store(SecretStr(url + mode), tmp_path, CLUSTER, "g")
        assert "hidden" not in str(caught.value)
    open_store(SecretStr(url + "?sslmode=verify-full"), tmp_path, CLUSTER, "g")
    open_store(SecretStr(url), tmp_path, CLUSTER, "g", allow_plaintext=True)


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.0.0.1", "[::1]", "%2Fvar%2Frun%2Fpostgresql", "localhost,127.0.0.1"]
)
def test_a_server_here_needs_none(host, tmp_path, monkeypatch):
    monkeypatch.delenv("PGHOST", raising=False)
    open_store(SecretStr(f"postgresql://me:hidden@{host}/risk"), tmp_path, CLUSTER, "g")


def test_the_hosts_number_decides_and_not_its_name(tmp_path):
    with pytest.raises(UsageError):
        open_store(SecretStr("host=localhost hostaddr=10.0.0.5 dbname=risk"), tmp_path, CLUSTER, "g")


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"the package psycopg is not installed; install m1cep\[postgres\]"):
        open_store(SecretStr("postgresql://localhost/risk"), tmp_path, CLUSTER, "g")
