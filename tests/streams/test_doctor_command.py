"""``m1cep doctor`` beside servers, and what a shell does at Tab."""

import json
import shutil
import subprocess
import sys

import pytest
from streams_harness import ORDERS


def findings(done):
    assert "Traceback" not in done.stderr, done.stderr
    return {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}


@pytest.mark.broker
def test_a_broker_is_looked_at_and_missing_topics_are_told(own_broker, m1cep):
    before = m1cep("doctor", "--offline", "--json", M1CEP_BROKER=own_broker.address)
    assert before.returncode == 0
    assert findings(before)["topics"]["verdict"] == "warn"
    assert findings(before)["topics"]["remedy"] == "m1cep topics create"
    assert m1cep("topics", "create", M1CEP_BROKER=own_broker.address).returncode == 0
    after = findings(m1cep("doctor", "--offline", "--json", M1CEP_BROKER=own_broker.address))
    assert after["topics"]["verdict"] == "ok"
    assert after["topic settings"]["verdict"] == "ok"
    assert after["partitions"]["text"].startswith("4 ")


@pytest.mark.kafka_only
def test_on_kafka_other_settings_and_missing_grants_are_told(own_broker, m1cep):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    m1cep("topics", "create", M1CEP_BROKER=own_broker.address)
    admin = KafkaAdminClient(bootstrap_servers=own_broker.address)
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, ORDERS, configs={"retention.ms": "1000"})])
    finally:
        admin.close()
    found = findings(m1cep("doctor", "--offline", "--json", M1CEP_BROKER=own_broker.address))
    assert f"{ORDERS} retention.ms=1000" in found["topic settings"]["text"]
    assert "may read" in found["grants"]["text"]


def test_whether_those_who_only_read_can_write_is_tried(database, m1cep):
    write, read = (url.get_secret_value() for url in (database.write_url, database.read_url))
    good = findings(m1cep("doctor", "--offline", "--json", M1CEP_DB_WRITE_URL=write, M1CEP_DB_READ_URL=read))
    assert good["risk cannot write"]["verdict"] == "ok"
    assert "a replica" in good["db_read_url"]["text"]
    assert good["clock of db_write_url"]["verdict"] == "ok"
    wrong = m1cep("doctor", "--offline", "--json", M1CEP_DB_WRITE_URL=write, M1CEP_DB_READ_URL=write)
    assert wrong.returncode == 1
    assert findings(wrong)["risk cannot write"]["verdict"] == "fail"
    assert write.split("@")[0] not in wrong.stdout + wrong.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("m1cep cust", ["custody"]),
        ("m1cep topics tail m1cep.al", ["m1cep.alerts.v1", "m1cep.alert-states.v1"]),
        ("m1cep worker --agents risk,re", ["risk,rekey", "risk,results"]),
        ("m1cep lists show san", ["sanctions"]),
        ("m1cep replay --dead", ["--dead-letters"]),
    ],
)
def test_tab_in_bash(line, completed, tmp_path, command_env):
    command = tmp_path / "m1cep"
    code = "import sys; from streams.cli import main; sys.argv[0] = 'm1cep'; sys.exit(main())"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    command.chmod(0o755)
    script = f"""
    eval "$(m1cep completion bash)"
    COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    function_name=$(complete -p m1cep | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    $function_name m1cep
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = {**command_env, "PATH": f"{tmp_path}:{command_env['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=240
    )
    found = done.stdout.split()
    assert found
    assert set(found) <= set(completed)
