"""Settings in force, and where each came from. Secrets are not shown: only that there is one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from streams.config import CONFIG_FILE, PREFIX, Settings, load_settings
from streams.doctor.findings import Finding
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterator


def read() -> tuple[Settings | None, list[Finding]]:
    """The settings, or what is wrong with them."""
    try:
        return load_settings(), []
    except ShellError as error:
        return None, [Finding("settings", "settings", "fail", error.message, error.remedy)]


def look(settings: Settings) -> Iterator[Finding]:
    """Each setting; files that are named and are not there."""
    for name in Settings.model_fields:
        value = getattr(settings, name)
        text = f"{shown(name, value)} ({origin(settings, name)})"
        if name.endswith("_file") and isinstance(value, Path) and not value.is_file():
            yield Finding(
                "settings", name, "fail", f"{text}: there is no such file", f"set {PREFIX}{name.upper()} to a file"
            )
        else:
            yield Finding("settings", name, "ok", text)


def origin(settings: Settings, name: str) -> str:
    """Where a value came from."""
    variable = PREFIX + name.upper()
    if any(known.upper() == variable and os.environ[known] for known in os.environ):
        return variable
    return CONFIG_FILE if name in settings.model_fields_set else "default"


def shown(name: str, value: Any) -> str:
    """A value for people: of an address that may hold a password the server alone, of another secret nothing."""
    if value is None:
        return "not set"
    if not isinstance(value, SecretStr):
        return str(value)
    places = [_place(one) for one in value.get_secret_value().split()] if name.endswith("_url") else []
    return "set, of " + ", ".join(places) if places and all(places) else "set, not shown"


def _place(url: str) -> str:
    """Host and port of a URL; nothing where what looks like a host may be a piece of a password."""
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:
            return ""
        return parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
