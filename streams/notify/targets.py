"""Where alerts go: a TOML file, checked. Secrets are in other files or in the environment, never in it.

[targets.desk]
kind = "webhook"
url = "https://desk.example/hooks/m1cep"
secret_file = "desk.secret"      # whsec_..., relative to this file; several lines while one secret gives way to another
severity = "high"                # from this one on; default: all
rules = ["wash-*", "spoofing"]   # default: all

[targets.oncall]
kind = "alertmanager"
url = "http://127.0.0.1:9093"
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from m1cep.pretrade.limits import SEVERITIES
from streams.config import is_loopback
from streams.errors import UsageError
from streams.files import read_text
from streams.logs import hide
from streams.security import Hidden

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = r"^[A-Za-z0-9_-]{1,64}\Z"
_SECRET_BYTES = range(24, 65)  # Standard Webhooks, section "Signature scheme"
_PREFIX = "whsec_"


class _Entry(BaseModel):
    """A table of the file; see ``docs/alerts.md`` for each key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["webhook", "alertmanager"]
    url: str | None = None
    url_file: str | None = None
    url_env: str | None = None
    secret_file: str | None = None
    secret_env: str | None = None
    token_file: str | None = None
    token_env: str | None = None
    ca_file: str | None = None
    allow_plaintext: bool = False
    severity: Literal["info", "low", "medium", "high", "critical"] = "info"
    rules: list[str] = ["*"]
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    give_up_after_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    queue: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    firing_for_s: Annotated[float, Field(ge=60)] = 86_400.0
    page: str | None = None


@dataclass(frozen=True)
class Target:
    """A place that alerts go to.

    Attributes:
        name: in the file.
        kind: ``webhook`` or ``alertmanager``.
        url: to post to; perhaps a secret.
        secrets: keys of the signature of a webhook, the newest first; empty: unsigned.
        token: sent as ``Authorization: Bearer``.
        tls: how the server is verified; None: not encrypted.
        severities, rules: which alerts; rules as patterns of the shell.
        timeout_s: of a whole attempt.
        give_up_after_s: after that an alert becomes a dead letter.
        queue: so many wait at most; the oldest becomes a dead letter beyond that.
        firing_for_s: Alertmanager takes an alert for resolved so long after it was told of it, unless it is closed before.
        page: of the dashboard: the alert's own is ``PAGE/?alert=ID``.
    """

    name: str
    kind: str
    url: str
    secrets: tuple[bytes, ...]
    token: str | None
    tls: ssl.SSLContext | None
    severities: frozenset[str]
    rules: tuple[str, ...]
    timeout_s: float
    give_up_after_s: float
    queue: int
    firing_for_s: float
    page: str | None

    def __repr__(self) -> str:
        return f"Target({self.name})"

    def wants(self, alert: Mapping[str, Any]) -> bool:
        """Whether an alert is for it."""
        rule = str(alert.get("rule"))
        return str(alert.get("severity")) in self.severities and any(fnmatchcase(rule, one) for one in self.rules)


def load_targets(path: Path) -> dict[str, Target]:
    """The targets of a file, by name.

    Raises:
        UsageError: it, or a file or variable that it names, cannot be read or is not what it must be; names the key.
    """
    try:
        tables = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    found = tables.pop("targets", None)
    if tables or not isinstance(found, dict) or not found:
        other = f", got {', '.join(tables)}" if tables else ""
        raise UsageError(f"{path}: expected one table [targets.NAME] or more and nothing else{other}")
    return {name: _target(path, name, table) for name, table in found.items()}


def _target(path: Path, name: str, table: Any) -> Target:
    where = f"{path}, targets.{name}"
    if not re.fullmatch(_NAME, name):
        raise UsageError(f"{path}: expected a name of letters, digits, _ and - for a target, got {name!r:.70}")
    for key in ("secret", "token"):
        if isinstance(table, dict) and key in table:
            raise UsageError(f"{where}.{key}: secrets do not belong into this file", f"use {key}_file or {key}_env")
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where}.{key}: {first['msg']}") from None
    url = _url(path, where, entry)
    if entry.kind == "alertmanager" and (entry.secret_file or entry.secret_env):
        raise UsageError(f"{where}: Alertmanager knows no signatures; use token_file, or a webhook")
    secret, token = _text(path, where, entry, "secret"), _text(path, where, entry, "token")
    return Target(
        name,
        entry.kind,
        url.rstrip("/") + "/api/v2/alerts" if entry.kind == "alertmanager" else url,
        tuple(_key(where, line.strip()) for line in secret.splitlines()) if secret else (),
        token,
        _tls(path, where, entry.ca_file) if url.startswith("https:") else None,
        frozenset(SEVERITIES[SEVERITIES.index(entry.severity) :]),
        tuple(entry.rules),
        entry.timeout_s,
        entry.give_up_after_s,
        entry.queue,
        entry.firing_for_s,
        entry.page.rstrip("/") if entry.page else None,
    )


def _text(path: Path, where: str, entry: _Entry, what: str) -> str | None:
    """What a key with ``_file`` or ``_env`` names."""
    file, variable = getattr(entry, f"{what}_file"), getattr(entry, f"{what}_env")
    if file is None and variable is None:
        return None
    if file is not None and variable is not None:
        raise UsageError(f"{where}: {what}_file and {what}_env are both there; keep one")
    if variable is not None:
        text = os.environ.get(variable, "").strip()
        source = f"{what}_env: the variable {variable}"
    else:
        source = f"{what}_file: {file}"
        try:
            text = (path.parent / Path(file).expanduser()).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where}.{source}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    if not text:
        raise UsageError(f"{where}.{source} is empty")
    for line in text.splitlines():
        hide(line.strip())
    return Hidden(text)


def _url(path: Path, where: str, entry: _Entry) -> str:
    hidden = _text(path, where, entry, "url")
    if (hidden is None) == (entry.url is None):
        raise UsageError(f"{where}: expected one of url, url_file and url_env")
    url = hidden or entry.url or ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or not url.isprintable() or " " in url:
        raise UsageError(f"{where}: expected an address such as https://host/path")
    if parts.username or parts.password:
        raise UsageError(f"{where}: the address has a user or password in it", "use token_file or token_env")
    if parts.scheme == "http" and not entry.allow_plaintext and not is_loopback(host):
        raise UsageError(
            f"{where}: http to another machine sends alerts unencrypted", "use https, or allow_plaintext = true"
        )
    return url


def _key(where: str, text: str) -> bytes:
    """The bytes of a secret as Standard Webhooks writes it."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except binascii.Error:
        key = b""
    if len(key) not in _SECRET_BYTES:
        raise UsageError(
            f"{where}: expected a secret of the form {_PREFIX} and base64 of 24 to 64 bytes",
            f"python3 -c \"import base64, os; print('{_PREFIX}' + base64.b64encode(os.urandom(32)).decode())\" makes one",
        )
    return key


def _tls(path: Path, where: str, ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(path.parent / Path(ca_file).expanduser()) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{where}.ca_file: {ca_file}: {error.strerror or type(error).__name__}") from None
