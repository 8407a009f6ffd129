"""Settings: from the environment (``M1CEP_*``), else from ``m1cep.toml`` in the working directory, else the defaults.

    settings = load_settings()              # raises UsageError: one line, naming the variable or the file's key
    settings.broker                         # "127.0.0.1:9092"
    KafkaProducer(**settings.client_settings(), acks="all")

A name that is not a setting is refused wherever it stands: a typing mistake must not mean the default.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from streams.broker_access import access_fault
from streams.errors import ShellError, UsageError

CONFIG_FILE = "m1cep.toml"
PREFIX = "M1CEP_"
ACCESS = ("tls", "sasl")  # what the names of the settings begin with that are about one broker and nothing else
DEFAULT_PARTITIONS = 4  # of topics that we create
# Set by run.py for the commands that it starts; read by `m1cep bench` and the tests that run Flink. Not settings.
NOT_SETTINGS = frozenset({"M1CEP_UV", "M1CEP_FLINK_PYTHON"})
# Kubernetes adds such variables to every container of a namespace that has a service called m1cep-something.
_SERVICE_LINK = re.compile(r".*_SERVICE_(HOST|PORT.*)$|.*_PORT(_\d+_(TCP|UDP).*)?$")


def split_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; ValueError when it is neither."""
    host, colon, port = text.strip().rpartition(":")
    bare = host.startswith("[") and host.endswith("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or (":" in host and not bare):
        raise ValueError(f"expected host:port, got {text!r}")
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, got {port}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether connections to the host stay on this machine, by its name or number alone (nothing is resolved)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_home() -> Path:
    """``$XDG_DATA_HOME/m1cep``, by default ``~/.local/share/m1cep``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share") / "m1cep"


def _checked_address(text: str) -> str:
    split_address(text)
    return text.strip()


def _absolute(value: object) -> object:
    """Relative folders are those of the working directory now, whatever it is later."""
    return Path(value).expanduser().absolute() if isinstance(value, str) and value else value


Address = Annotated[str, AfterValidator(_checked_address)]
Folder = Annotated[Path, BeforeValidator(_absolute)]


class Settings(BaseSettings):
    """Every setting of M1CEP. Addresses that may hold a password are SecretStr, so that no log or message shows them.

    Attributes:
        broker: the Kafka broker, host:port.
        allow_plaintext: permits a broker beyond this machine without TLS.
        tls: encrypt; None: as soon as one of the ``tls_...`` is given.
        tls_ca: PEM file of the authorities that may have signed the broker's certificate; None: those of the system.
        tls_cert, tls_key, tls_key_password: a client certificate (PEM, with its chain) by which the broker knows us.
        sasl: how to log in: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER; None: not at all.
        sasl_user, sasl_password, sasl_password_file: for SCRAM and PLAIN; the password, or a file that holds it.
        sasl_token_file: for OAUTHBEARER: a file with the token, read at each connection, so that another program can renew it.
        home: folder of everything that is kept: data, logs, private copies of executables.
        state_dir: folder of the engine's snapshots and of Faust's own state; ``home``/state by default.
        state_url: of a PostgreSQL that keeps the engine's snapshots in place of ``state_dir``.
        signer_passphrase, signer_passphrase_file: of a custody signer's keyfile; the passphrase, or a file that holds it.
        lookups: folder of lists and parameters; None means the packaged ones.
        notify: file of where alerts go (TOML), of the agent notify.
        rpc_port: of the pre-trade check, on 127.0.0.1; 0 is any free one.
        web_port: of the worker's web server; None: 8080 or the next free one, and only where an agent has pages; 0: any one.
        web_host: where it listens; anywhere but on this machine it needs a token.
        web_token, web_token_file: what clients of the web server show, or a file of such tokens, each on a line: ``name:token``.
        ready_broker_s: a worker is not ready when the broker has not answered for so long.
        ready_lag_events: nor with more records than this still to read, of one agent.
        ready_snapshot_age_s: nor when state that has changed was not saved for so long.
        ready_replica_lag_s: nor when the ledger's replica is further behind.
        venue: where grids trade for real, as ccxt calls it; None: nowhere.
        venue_account: whose the key is: the grids of this account may use it, no other.
        venue_key, venue_secret, venue_secret_file, venue_password: of the key; the secret, or a file that holds it.
        venue_sandbox: use the venue's test network.
        venue_url: instead of the venue's own address.
        venue_settle_s: a request that the venue has not answered for so long cannot arrive any more.
        cache_url: of the Redis or Valkey cache.
        db_write_url, db_read_url: of the ledger's PostgreSQL: its primary, for the role that writes; its replica, for the
            role that reads.
        db_owner_url: of the primary, for the role that owns the tables; only migrations use it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        toml_file=CONFIG_FILE,
    )

    broker: Address = "127.0.0.1:9092"
    allow_plaintext: bool = False
    tls: bool | None = None
    tls_ca: Folder | None = None
    tls_cert: Folder | None = None
    tls_key: Folder | None = None
    tls_key_password: SecretStr | None = None
    sasl: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] | None = None
    sasl_user: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Folder | None = None
    sasl_token_file: Folder | None = None
    home: Folder = Field(default_factory=default_home)
    state_dir: Folder = Field(default_factory=lambda fields: fields.get("home", default_home()) / "state")
    state_url: SecretStr | None = None
    signer_passphrase: SecretStr | None = None
    signer_passphrase_file: Folder | None = None
    lookups: Folder | None = None
    notify: Folder | None = None
    rpc_port: Annotated[int, Field(ge=0, le=65535)] = 50061
    web_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    web_host: str = "127.0.0.1"
    web_token: SecretStr | None = None
    web_token_file: Folder | None = None
    ready_broker_s: Annotated[float, Field(gt=0)] = 5.0
    ready_lag_events: Annotated[int, Field(ge=0)] = 100_000
    ready_snapshot_age_s: Annotated[float, Field(gt=0)] = 60.0
    ready_replica_lag_s: Annotated[float, Field(gt=0)] = 10.0
    venue: str | None = None
    venue_account: str | None = None
    venue_key: SecretStr | None = None
    venue_secret: SecretStr | None = None
    venue_secret_file: Folder | None = None
    venue_password: SecretStr | None = None
    venue_sandbox: bool = False
    venue_url: str | None = None
    venue_settle_s: Annotated[float, Field(gt=0)] = 10.0
    cache_url: SecretStr | None = None
    db_write_url: SecretStr | None = None
    db_read_url: SecretStr | None = None
    db_owner_url: SecretStr | None = None

    @model_validator(mode="after")
    def _tls_and_sasl_are_whole(self) -> Settings:
        if fault := access_fault(self):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _no_plaintext_beyond_this_machine(self) -> Settings:
        if not self.encrypted and not self.allow_plaintext and not is_loopback(split_address(self.broker)[0]):
            raise ValueError(
                f"broker {self.broker} is not on this machine and the connection would not be encrypted; set "
                "M1CEP_TLS=true (tls in m1cep.toml), or M1CEP_ALLOW_PLAINTEXT=true (allow_plaintext) if the network between "
                "is trusted",
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file; no ``.env`` and no folder of secrets."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def broker_host(self) -> str:
        """Host of ``broker``."""
        return split_address(self.broker)[0]

    @property
    def broker_port(self) -> int:
        """Port of ``broker``."""
        return split_address(self.broker)[1]

    @property
    def encrypted(self) -> bool:
        """Whether connections to the broker use TLS."""
        return bool(self.tls_ca or self.tls_cert) if self.tls is None else self.tls

    def client_settings(self) -> dict[str, Any]:
        """What every Kafka client takes to reach the broker, see ``streams.security``.

        Raises:
            UsageError: a file of certificates, keys or secrets cannot be read or is none.
        """
        from streams.security import client_settings

        return client_settings(self)

    def for_own_broker(self, address: str) -> Settings:
        """The same for a broker that we run on this machine ourselves: it has neither TLS nor users."""
        access = {name: None for name in Settings.model_fields if name.startswith(ACCESS)}
        return self.model_copy(update={**access, "broker": address})

    def folder(self, *parts: str) -> Path:
        """A folder under ``home``, made when missing, for the owner alone (0700).

        Raises:
            UsageError: it cannot be made or written to.
        """
        path = self.home
        try:
            for folder in (path, *(path := path / part for part in parts)):
                # mkdir(parents=True) would give the parents the umask's mode.
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            writable = os.access(path, os.W_OK | os.X_OK)
        except OSError as error:
            raise UsageError(
                f"the folder {path} cannot be made: {error.strerror}",
                "set M1CEP_HOME to a folder that you may write to",
            ) from error
        if not writable:
            raise UsageError(f"the folder {path} cannot be written to", "set M1CEP_HOME to one that can")
        return path


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; keyword arguments (of options given by the user) go before everything else.

    Raises:
        UsageError: an unknown name, a value that does not fit, or a file that is not TOML.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{CONFIG_FILE} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise _explained(error, overrides) from error


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        name = variable.upper()
        if name.startswith(PREFIX) and name not in known | NOT_SETTINGS and not _SERVICE_LINK.match(name):
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"settings are {', '.join(sorted(known))}"
            raise UsageError(f"the environment variable {variable} is not a setting", remedy)


def _explained(error: ValidationError, overrides: dict[str, Any]) -> ShellError:
    """The first fault of a validation error with the place it comes from."""
    fault = error.errors(include_url=False)[0]
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:
        message, _, remedy = reason.partition("; ")
        return UsageError(message, remedy)
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"settings are {', '.join(Settings.model_fields)}"
        return UsageError(f"{CONFIG_FILE}: {name!r} is not a setting", remedy)
    variable = PREFIX + name.upper()
    in_environment = any(v.upper() == variable for v in os.environ)
    place = name if name in overrides else variable if in_environment else f"{CONFIG_FILE}: {name}"
    return UsageError(f"{place}: {reason[:1].lower()}{reason[1:]}")
