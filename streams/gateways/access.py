"""Which venue the grids trade on for real, and with whose key: from the settings. Knows nothing of ccxt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from streams.config import is_loopback
from streams.errors import UsageError
from streams.security import Hidden, secret_of

if TYPE_CHECKING:
    from streams.config import Settings

_NEEDED = ("venue_account", "venue_key")


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """One key of one venue.

    Attributes:
        name: as ccxt calls the venue; grids name it as theirs.
        account: whose the key is.
        key, secret, password: shown as stars; a password only where the venue has one.
        sandbox: the venue's test network.
        url: in place of the venue's own; empty: its own.
        settle_s: how long after we gave up on its reply a request may still arrive.
    """

    name: str
    account: str
    key: Hidden
    secret: Hidden
    password: Hidden
    sandbox: bool
    url: str
    settle_s: float

    def config(self) -> dict[str, Any]:
        """As ccxt takes it."""
        # The venue accepts a request for half of the time that we wait for it: clocks differ.
        known = {"apiKey": self.key, "secret": self.secret, "options": {"recvWindow": int(self.settle_s * 500)}}
        return known | ({"password": self.password} if self.password else {})


def venue_access(settings: Settings) -> VenueAccess | None:
    """The venue of the settings; None: there is none.

    Raises:
        UsageError: something is missing or too much, the secret's file cannot be read, or the key would go out unencrypted.
    """
    given = [
        name
        for name, field in type(settings).model_fields.items()
        if name.startswith("venue_") and getattr(settings, name) != field.default  # a child may be given the defaults
    ]
    if settings.venue is None:
        if given:
            raise UsageError(
                f"M1CEP_{given[0].upper()} is set, but not M1CEP_VENUE", "set it to the venue's name, such as binance"
            )
        return None
    missing = [name for name in _NEEDED if not getattr(settings, name)]
    if missing:
        raise UsageError(
            f"M1CEP_VENUE is set, but not M1CEP_{missing[0].upper()}", "docs/grid-venue.md says what is needed"
        )
    if (settings.venue_secret is None) == (settings.venue_secret_file is None):
        raise UsageError("the venue's key takes one secret", "set either M1CEP_VENUE_SECRET or M1CEP_VENUE_SECRET_FILE")
    if settings.venue_secret_file is not None:
        secret = secret_of("M1CEP_VENUE_SECRET_FILE", settings.venue_secret_file)
    else:
        secret = _hidden(settings, "venue_secret")
    url = settings.venue_url or ""
    if url and not _fit(url):
        raise UsageError(
            f"M1CEP_VENUE_URL: expected https://host, or http://host on this machine, got {url!r}",
            "the key must not cross the network unencrypted",
        )
    return VenueAccess(
        settings.venue,
        str(settings.venue_account),
        _hidden(settings, "venue_key"),
        secret,
        _hidden(settings, "venue_password"),
        settings.venue_sandbox,
        url,
        settings.venue_settle_s,
    )


def _hidden(settings: Settings, name: str) -> Hidden:
    value = getattr(settings, name)
    return Hidden(value.get_secret_value() if value else "")


def _fit(url: str) -> bool:
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and is_loopback(str(host))))
