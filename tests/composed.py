"""The compose files as the tests look at them: merged as `docker compose` merges what is used here."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
BASE, TLS = DOCKER / "compose.yaml", DOCKER / "compose.tls.yaml"


@cache
def load(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def services(*, tls: bool = False) -> dict[str, dict[str, Any]]:
    """Every service; with ``tls`` the overlay's word counts, and what it adds is added."""
    merged = {name: dict(service) for name, service in load(BASE)["services"].items()}
    for name, service in load(TLS)["services"].items() if tls else ():
        into = merged.setdefault(name, {})
        for key, value in service.items():
            if isinstance(value, dict):
                into[key] = into.get(key, {}) | value
            elif key in ("secrets", "volumes"):
                into[key] = [*into.get(key, []), *value]
            else:
                into[key] = value
    return merged


def ours(**options: bool) -> dict[str, dict[str, Any]]:
    """The services that run `m1cep`."""
    return {
        name: service
        for name, service in services(**options).items()
        if service["image"] == "m1cep" and "access.py" not in str(service.get("entrypoint"))
    }


def words(service: dict[str, Any]) -> list[str]:
    """What `m1cep` is told: the command, whatever shell stands before it."""
    entry = service.get("entrypoint")
    assert entry is None or (entry[0] == "/bin/sh" and 'exec m1cep "$$@"' in entry[2]), entry
    return service["command"]


def agents(service: dict[str, Any]) -> list[str]:
    told = words(service)
    return told[told.index("--agents") + 1].split(",") if told[0] == "worker" else []


def secret_names(service: dict[str, Any]) -> dict[str, str]:
    """Path in the container by name of the secret."""
    found = {}
    for given in service.get("secrets", ()):
        source = given if isinstance(given, str) else given["source"]
        target = source if isinstance(given, str) else given.get("target", source)
        found[source] = target if target.startswith("/") else f"/run/secrets/{target}"
    return found
