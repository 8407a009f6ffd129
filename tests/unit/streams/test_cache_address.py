"""The address of a cache: what is none is refused, and nothing of a password is ever shown."""

import pytest
from pydantic import SecretStr

from streams.cache.address import check_url
from streams.errors import UsageError


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://u:p@127.0.0.1:6379/0",
        "rediss://:p%2Fq%23r@cache.example:6380/3",
        "redis://[::1]:6379",
    ],
)
def test_addresses(url):
    check_url(SecretStr(url))


@pytest.mark.parametrize(
    "url",
    [
        "redis://hunter:12/secret@cache.example:6379/0",
        "redis://hunter/secret@cache.example:6379/0",
        "redis://hunter#secret@cache.example:6379/0",
        "redis://hunter:12#secret@cache.example:6379/0",
        "redis://hunter?secret@cache.example:6379/0",
        "redis://:hunter/secret@127.0.0.1",
        "redis://127.0.0.1:6379/zero",
        "http://hunter@127.0.0.1",
        "redis://",
    ],
)
def test_what_is_no_address_is_refused_without_a_word_of_it(url):
    with pytest.raises(UsageError, match="is not the address of a cache") as caught:
        check_url(SecretStr(url))
    text = f"{caught.value} {caught.value.__cause__}"
    assert not any(part in text for part in ("hunter", "secret", "12"))


def test_another_machine_needs_tls():
    with pytest.raises(UsageError, match=r"cache.example:6379 is not on this machine"):
        check_url(SecretStr("redis://u:hunter@cache.example"))
    check_url(SecretStr("redis://u:hunter@cache.example"), allow_plaintext=True)
