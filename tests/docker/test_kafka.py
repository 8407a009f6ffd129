"""Apache Kafka with the configuration of docker/kafka and the users and grants of docker/access.py."""

import os
import subprocess
import sys

import pytest
from composed import DOCKER, ROOT

from apache_kafka import KafkaServer, Missing
from streams.embedded.ports import any_free_port


class ComposedKafka(KafkaServer):
    """Kafka with a file of docker/kafka, its places and ports replaced by ours."""

    def __init__(self, folder, secrets, file):
        self.secrets, self.file = secrets, file
        self.ports = {name: any_free_port() for name in ("9092", "9093", "9094", "9095")}
        super().__init__(folder)
        self.listeners = {"PLAINTEXT": self.ports["9095"], "CONTROLLER": self.ports["9093"]}

    def _properties(self, *_):
        text = (DOCKER / "kafka" / self.file).read_text()
        text = text.replace("/run/secrets/kafka_pem", str(self.secrets / "kafka.pem"))
        text = text.replace("/run/secrets/ca", str(self.secrets / "ca.pem"))
        text = text.replace("/var/lib/kafka/data", str(self.folder / "data"))
        for name, port in self.ports.items():
            text = text.replace(f":{name}", f":{port}")
        # On this machine nobody is called kafka; the certificate is for localhost too.
        return text.replace("BUS://kafka:", "BUS://localhost:").replace("://:", "://127.0.0.1:")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory, prepared):
    try:
        server = ComposedKafka(tmp_path_factory.mktemp("kafka"), prepared, "server.tls.properties")
    except Missing as missing:
        pytest.skip(str(missing))
    with server:
        access = [sys.executable, DOCKER / "access.py", ROOT / "docs" / "security.md", prepared]
        env = os.environ | {"M1CEP_BROKER": f"localhost:{server.ports['9095']}"}
        for _ in range(2):  # the job is started again with the containers
            done = subprocess.run(access, env=env, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr
        yield server


@pytest.fixture
def m1cep(kafka, prepared, tmp_path):
    def run(*arguments, user, **env):
        settings = {
            "M1CEP_BROKER": f"localhost:{kafka.ports['9092']}",
            "M1CEP_TLS_CA": str(prepared / "ca.pem"),
            "M1CEP_SASL": "SCRAM-SHA-512",
            "M1CEP_SASL_USER": user,
            "M1CEP_SASL_PASSWORD_FILE": str(prepared / f"kafka_{user}"),
            "M1CEP_HOME": str(tmp_path),
        }
        command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
        given = os.environ | settings | env
        return subprocess.run(command, env=given, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    return run


@pytest.mark.slow
def test_users_have_their_passwords_and_their_grants_and_nobody_else_comes_in(m1cep, prepared, tmp_path):
    made = m1cep("topics", "create", "--custody", prepared / "custody" / "custody.toml", user="admin")
    assert made.returncode == 0, made.stderr
    odd = tmp_path / "odd.ndjson"
    odd.write_text('{"account": "a"}\n')
    sent = m1cep("produce", "--stream", "orders", "--file", odd, user="producer")
    assert sent.returncode == 0, sent.stderr
    refused = m1cep("produce", "--stream", "orders", "--file", odd, user="reader")
    assert refused.returncode == 3, "the grants are those of docs/security.md"
    stranger = m1cep("topics", "list", user="admin", M1CEP_SASL_PASSWORD_FILE=str(prepared / "kafka_reader"))
    assert stranger.returncode == 3
    assert "refuses user 'admin'" in stranger.stderr
    plain = {
        "M1CEP_TLS": "false",
        "M1CEP_TLS_CA": "",
        "M1CEP_SASL": "",
        "M1CEP_SASL_USER": "",
        "M1CEP_SASL_PASSWORD_FILE": "",
    }
    assert m1cep("topics", "list", user="admin", **plain).returncode == 3
