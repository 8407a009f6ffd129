"""TLS and SASL: what must come together, what clients are given, and what no message and no log line shows."""

import io
import json
import logging
import os
import shutil
import ssl
import subprocess

import pytest
import structlog

from streams.agents.context import WorkerOptions
from streams.config import load_settings
from streams.errors import ShellError, UsageError
from streams.logs import configure_logs
from streams.security import Hidden, faust_credentials

SCRAM = {"SASL": "SCRAM-SHA-512", "SASL_USER": "worker", "SASL_PASSWORD": "hunter2"}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No settings of the machine, and an empty working directory."""
    for name in list(os.environ):
        if name.startswith("M1CEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(monkeypatch):
    def set_all(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"M1CEP_{name}", str(value))
        return load_settings()

    return set_all


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"SASL": "SCRAM-SHA-512"}, "M1CEP_SASL=SCRAM-SHA-512 takes a user and one password; set M1CEP_SASL_USER"),
        ({**SCRAM, "SASL_PASSWORD_FILE": "pw"}, "takes a user and one password"),
        ({"SASL": "PLAIN", "SASL_PASSWORD": "hunter2"}, "M1CEP_SASL=PLAIN takes a user and one password"),
        ({"SASL_USER": "worker"}, "but not how to log in; set M1CEP_SASL"),
        ({"SASL": "OAUTHBEARER"}, "set M1CEP_SASL_TOKEN_FILE alone"),
        ({**SCRAM, "SASL": "OAUTHBEARER", "SASL_TOKEN_FILE": "t"}, "set M1CEP_SASL_TOKEN_FILE alone"),
        ({**SCRAM, "SASL_TOKEN_FILE": "t"}, "takes no token"),
        ({"SASL": "GSSAPI"}, "M1CEP_SASL: input should be 'SCRAM-SHA-512'"),
        ({"TLS_KEY": "key.pem"}, "no M1CEP_TLS_CERT that it belongs to"),
        ({"TLS": "false", "TLS_CA": "ca.pem"}, "M1CEP_TLS is false, but"),
    ],
)
def test_halves_are_refused_in_one_line_without_the_password(given, values, said):
    with pytest.raises(UsageError) as caught:
        given(**values)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_tls_permits_a_broker_beyond_this_machine_and_a_user_alone_does_not(given):
    with pytest.raises(UsageError, match="would not be encrypted"):
        given(BROKER="kafka:9094", **SCRAM)
    assert given(TLS="true").client_settings()["security_protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("values", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"TLS": "true"}, "SSL"),
        (SCRAM, "SASL_PLAINTEXT"),
        ({**SCRAM, "TLS": "true"}, "SASL_SSL"),
    ],
)
def test_faust_speaks_the_protocol_that_is_asked_for(given, values, protocol):
    client = given(**values).client_settings()
    assert client["security_protocol"] == protocol
    credentials = faust_credentials(client)
    assert ("PLAINTEXT" if credentials is None else credentials.protocol.value) == protocol


def test_faust_never_falls_back_to_plaintext(given):
    client = given(TLS="true", **SCRAM).client_settings()
    del client["ssl_context"]
    with pytest.raises(ShellError, match="SASL_SSL without a TLS context"):
        faust_credentials(client)


def test_tls_checks_certificate_and_name(given):
    context = given(TLS="true").client_settings()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("values", "text", "said"),
    [
        ({"TLS_CA": "f"}, None, "M1CEP_TLS_CA: expected PEM certificates in "),
        ({"TLS_CA": "f"}, "no certificate", "M1CEP_TLS_CA: expected PEM certificates in "),
        ({"TLS_CERT": "f"}, "no certificate", "expected a PEM certificate and its key in "),
        (
            {"SASL": "PLAIN", "SASL_USER": "u", "SASL_PASSWORD_FILE": "f"},
            None,
            "M1CEP_SASL_PASSWORD_FILE: expected a secret",
        ),
        ({"SASL": "PLAIN", "SASL_USER": "u", "SASL_PASSWORD_FILE": "f"}, "\n", "f is empty"),
        ({"SASL": "OAUTHBEARER", "SASL_TOKEN_FILE": "f"}, None, "M1CEP_SASL_TOKEN_FILE: expected a secret"),
    ],
)
def test_a_file_that_is_none_is_named(given, tmp_path, values, text, said):
    if text is not None:
        (tmp_path / "f").write_text(text)
    with pytest.raises(UsageError, match="f") as caught:
        given(**values).client_settings()
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_key_that_needs_a_password_does_not_ask_for_it_on_the_terminal(given, tmp_path):
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=x", "-passout", "pass:hunter2"]
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl command")
    subprocess.run([*make, "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    settings = given(TLS_CERT="cert.pem", TLS_KEY="key.pem")
    with pytest.raises(UsageError, match="expected a PEM certificate and its key"):
        settings.client_settings()
    assert given(TLS_KEY_PASSWORD="hunter2").client_settings()["security_protocol"] == "SSL"


def test_the_password_is_whole_for_clients_and_stars_for_those_who_show_it(given, tmp_path):
    (tmp_path / "pw").write_text("hunter2\n")
    settings = given(SASL="PLAIN", SASL_USER="worker", SASL_PASSWORD_FILE="pw")
    client = settings.client_settings()
    assert client["sasl_plain_password"] == "hunter2"
    assert f"{client['sasl_plain_password']}".encode() == b"hunter2"
    options = WorkerOptions(agents=[], rules=[], streams={}, client=client, state_dir=tmp_path)
    shown = f"{client} {client!r} {options!r} {settings!r} {faust_credentials(client)!r}"
    assert "worker" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("secret", ["hunter2", "quo\"te'd\\ \u00fc", "a'b", 'a"b'])
@pytest.mark.parametrize("as_json", [True, False])
def test_no_log_line_shows_a_secret_however_it_is_written(secret, as_json):
    secret = Hidden(f"{secret}-{as_json}")
    out = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logs("debug", json=as_json, stream=out)
        log = logging.getLogger("aiokafka.conn")
        log.debug("Request %s", secret)
        log.debug("Request %s", {"auth": f"u\0{secret}".encode()})
        log.debug("Request %r", str(secret))
        structlog.get_logger("x").info("login", password=str(secret))
        try:
            fail_with(str(secret))
        except ValueError:
            log.exception("failed with %s", "it")
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
    text = out.getvalue()
    assert text.count("***") >= 5, text
    assert str(secret) not in text
    assert json.dumps(str(secret))[1:-1] not in text
    assert f"{secret}".encode().hex() not in text
    assert "fail_with" in text  # the traceback is there
    assert '"locals"' not in text


def fail_with(password):
    raise ValueError(f"bad login with {password}")
