"""docker/compose.yaml and its overlay, as far as a machine without an engine can look at them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from commands import fault
from composed import BASE, DOCKER, ROOT, TLS, agents, load, ours, secret_names, services, words

from streams.agents import AGENTS
from streams.config import Settings

FILES = {"base": (BASE,), "tls": (BASE, TLS)}
#: compose-spec.json: of github.com/compose-spec/compose-go (Apache-2.0), which `docker compose` checks files with.
SCHEMA = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
WORKERS = {name for name, service in ours().items() if agents(service)}


@pytest.mark.parametrize("file", [BASE, TLS], ids=lambda file: file.name)
def test_the_files_are_what_the_compose_specification_allows(file):
    jsonschema.validate(load(file), SCHEMA)


def test_the_schema_refuses_what_compose_does_not_know():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"a": {"image": "b", "read_onyl": True}}}, SCHEMA)


@pytest.mark.parametrize("which", FILES)
def test_docker_compose_takes_them(which, tmp_path):
    docker = shutil.which("docker")
    known = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not known:
        pytest.skip("there is no docker compose here")
    files = [part for file in FILES[which] for part in ("-f", str(file))]
    command = [docker, "compose", *files, "--profile", "*", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tls", [False, True], ids=["base", "tls"])
def test_every_command_exists_with_its_options(tls):
    for name, service in ours(tls=tls).items():
        assert fault(words(service)) == "", name


@pytest.mark.parametrize("tls", [False, True], ids=["base", "tls"])
def test_every_agent_and_setting_exists(tls):
    known = {f"M1CEP_{name.upper()}" for name in Settings.model_fields}
    for name, service in ours(tls=tls).items():
        assert set(agents(service)) <= set(AGENTS), name
        given = {key for key in service["environment"] if key.startswith("M1CEP_")}
        assert given <= known, name


def test_every_agent_runs_somewhere():
    run = {agent for service in ours().values() for agent in agents(service)}
    # risk starts rekey, paper_exchange the sequencer; a venue needs somebody's key.
    assert set(AGENTS) - run == {"rekey", "sequencer", "venue"}


@pytest.mark.parametrize("tls", [False, True], ids=["base", "tls"])
def test_every_path_in_a_container_is_mounted(tls):
    for name, service in services(tls=tls).items():
        mounted = set(secret_names(service).values())
        mounted |= {volume.split(":")[1] for volume in service.get("volumes", ())}
        mounted |= {volume.split(":")[0] for volume in service.get("tmpfs", ())}
        said = [*map(str, service.get("command") or ()), *map(str, service.get("entrypoint") or ())]
        said += map(str, (service.get("environment") or {}).values())
        said.append(str(service.get("healthcheck", {}).get("test", "")))
        for path in re.findall(r"(?<![\w.<])/(?:run/secrets|etc|var/lib|tmp|data)\b[\w./-]*", " ".join(said)):
            within = any(path == place or path.startswith(f"{place}/") for place in mounted)
            assert within, f"{name}: nothing is mounted at {path}"


@pytest.mark.parametrize("file", [BASE, TLS], ids=lambda file: file.name)
def test_everything_mounted_from_the_repository_is_there(file):
    for name, service in load(file)["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), f"{name}: {source}"
                assert volume.endswith(":ro"), f"{name}: {source} is the repository's"
            else:
                assert source in load(BASE)["volumes"], f"{name}: {source}"


@pytest.mark.parametrize("file", [BASE, TLS], ids=lambda file: file.name)
def test_every_secret_is_made_by_prepare(file, prepared):
    declared = load(file)["secrets"]
    for name, secret in declared.items():
        made = prepared / Path(secret["file"]).relative_to("secrets")
        assert made.is_file(), name
        assert made.stat().st_size > 0, name
    used = {name for service in load(file)["services"].values() for name in secret_names(service)}
    assert used <= set(load(BASE)["secrets"]) | set(declared)


def test_what_prepare_makes_is_for_its_owner_and_no_container_needs_more(prepared):
    assert prepared.stat().st_mode & 0o777 == 0o700
    mounted = {Path(s["file"]).relative_to("secrets") for f in (BASE, TLS) for s in load(f)["secrets"].values()}
    for file in prepared.rglob("*"):
        if file.is_file() and file.relative_to(prepared) not in mounted:
            continue
        others = file.is_dir() or file.stat().st_mode & 0o004
        assert others, f"{file.name} is mounted into containers, whose users are others"
    for kept in ("ca.key", "custody/officer-1.key", "custody/shop.key"):
        assert (prepared / kept).stat().st_mode & 0o077 == 0, kept


def test_the_settings_that_prepare_writes_are_read(prepared, monkeypatch, tmp_path):
    from streams.config import load_settings

    monkeypatch.chdir(tmp_path)
    for file in prepared.glob("*.toml"):
        (tmp_path / "m1cep.toml").write_text(file.read_text())
        settings = load_settings()
        given = {name for name in settings.model_fields_set if name.endswith("_url")}
        assert given, file.name


def test_roster_and_policy_that_prepare_makes_are_taken(prepared):
    from m1cep.custody.policy import parse_policy
    from streams.custody.roster import load_roster

    roster = load_roster(prepared / "custody" / "custody.toml")
    assert sorted(roster.signers) == [1, 2, 3]
    parse_policy((prepared / "custody" / "policy.yaml").read_text())


# --- what a container may do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(services(tls=True)))
def test_no_service_may_more_than_it_needs(name):
    service = services(tls=True)[name]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), "not root"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "ports are for this machine"
    if name != "access":
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


@pytest.mark.parametrize("name", sorted(services(tls=True)))
def test_every_service_is_looked_after_or_ends(name):
    service = services(tls=True)[name]
    check = service["healthcheck"]
    if check.get("disable"):
        assert service["restart"] in ("on-failure", "no")
    else:
        assert service["restart"] == "unless-stopped"
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        if service["image"] == "m1cep":
            assert check["test"][-1] == "/opt/m1cep/healthcheck.py"


def test_images_are_pinned():
    for name, service in services(tls=True).items():
        if service["image"] != "m1cep":
            assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"]), name


def test_what_is_waited_for_can_come():
    everything = services(tls=True)
    for name, service in everything.items():
        for other, how in service.get("depends_on", {}).items():
            awaited = everything[other]
            ends = awaited["healthcheck"].get("disable", False)
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)
            missing = set(service.get("profiles", ["*"])) - set(awaited.get("profiles", service.get("profiles", ["*"])))
            assert not missing, f"{name} with {missing} waits for {other}, which is not started then"


def test_a_signer_reaches_kafka_and_nobody_else_but_prometheus_reaches_it():
    networks = {name: set(service.get("networks", ())) for name, service in services().items()}
    for number in (1, 2, 3):
        own = f"signer-{number}"
        assert networks[own] == {own}
        assert {name for name, on in networks.items() if own in on} == {own, "kafka", "prometheus"}
    inside = {name for name, network in load(BASE)["networks"].items() if (network or {}).get("internal")}
    assert inside == set(load(BASE)["networks"]) - {"edge"}
    out = {name for name, on in networks.items() if "edge" in on}
    assert out == {"kafka", "dashboard", "notify", "prometheus", "alertmanager", "grafana"}


def test_secrets_are_where_they_are_needed_alone():
    having = {}
    for name, service in services(tls=True).items():
        for secret in secret_names(service):
            having.setdefault(secret, set()).add(name)
    for number in (1, 2, 3):
        assert having[f"signer_{number}_keyfile"] == {f"signer-{number}"}
        assert having[f"signer_{number}_passphrase"] == {f"signer-{number}"}
    assert having["postgres_owner"] == {"postgres"}
    assert having["migrate_toml"] == {"migrate"}
    assert having["ledger_toml"] == {"ledger"}
    assert having["coordinator_key"] == having["chains_key"] == {"coordinator"}
    for user in (name for name in having if name.startswith("kafka_") and name not in ("kafka_pem", "kafka_admin")):
        assert having[user] <= {"access", *WORKERS}
        assert len(having[user]) <= 2, "a user is one service's"


# --- the overlay ------------------------------------------------------------------------------------------------------


def test_with_the_overlay_everybody_uses_tls_and_a_user_of_its_own(prepared):
    users = {}
    for name, service in ours(tls=True).items():
        env, secrets = service["environment"], secret_names(service)
        assert env["M1CEP_ALLOW_PLAINTEXT"] == "false", name
        assert "/run/secrets/ca" in secrets.values(), name
        if name == "migrate":
            continue
        assert env["M1CEP_TLS_CA"] == "/run/secrets/ca", name
        assert env["M1CEP_SASL"] == "SCRAM-SHA-512", name
        assert secrets[f"kafka_{env['M1CEP_SASL_USER']}"] == env["M1CEP_SASL_PASSWORD_FILE"], name
        users[name] = env["M1CEP_SASL_USER"]
    workers = [user for name, user in users.items() if name in WORKERS]
    assert len(set(workers)) == len(workers)
    made = {file.name.removeprefix("kafka_") for file in prepared.glob("kafka_*")}
    given = {n.removeprefix("kafka_") for n in secret_names(services(tls=True)["access"])}
    assert made == given
    assert set(users.values()) <= made


def test_the_overlay_sends_everybody_to_addresses_with_tls(prepared):
    overlaid = load(TLS)["secrets"]
    for name, secret in load(BASE)["secrets"].items():
        if name.endswith("_toml"):
            text = (prepared / Path(overlaid[name]["file"]).name).read_text()
            assert "redis://" not in text
            assert "sslmode=disable" not in text
            assert "rediss://" in text or "sslmode=verify-full" in text
            assert secret["file"] != overlaid[name]["file"]


def test_what_overlay_and_base_say_in_common_is_the_same():
    def settings(name):
        lines = (DOCKER / "kafka" / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    base, tls = settings("server.properties"), settings("server.tls.properties")
    assert {key for key in base if base[key] != tls.get(key)} == {"listener.security.protocol.map"}
    protocols = dict(pair.split(":") for pair in tls["listener.security.protocol.map"].split(","))
    listeners = dict(pair.split("://") for pair in tls["listeners"].split(","))
    for name, address in listeners.items():
        assert protocols[name] == "SASL_SSL" or address.startswith("localhost:"), f"{name}: open to others without TLS"
    for server in ("primary", "replica"):
        texts = [(DOCKER / "postgres" / f"{server}_hba{kind}.conf").read_text() for kind in ("", ".tls")]
        plain, secure = ([line.split() for line in text.splitlines() if line[0] != "#"] for text in texts)
        assert [[x.replace("hostssl", "host") for x in line] for line in secure] == plain
        assert all(line[0] in ("hostssl", "local") or line[-1] == "reject" for line in secure)


# --- what is copied from elsewhere ------------------------------------------------------------------------------------


def test_the_roles_are_those_of_the_command():
    from streams.database.roles import script

    made = "m1cep db roles > docker/postgres/roles.sql"
    assert (DOCKER / "postgres" / "roles.sql").read_text() == script(), f"run `{made}`"


@pytest.mark.parametrize("script", sorted(DOCKER.rglob("*.sh")), ids=lambda file: file.name)
def test_shell_scripts_can_be_read(script):
    shell = script.read_text().splitlines()[0].removeprefix("#!/bin/")
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_yaml_file_can_be_read():
    for file in [*DOCKER.rglob("*.yml"), *DOCKER.rglob("*.yaml")]:
        yaml.safe_load(file.read_text())


def test_every_file_that_the_document_names_exists():
    text = (ROOT / "docs" / "docker.md").read_text()
    for name in re.findall(r"docker/[\w./-]*\w", text):
        assert (ROOT / name).exists() or name.startswith("docker/secrets"), name
