"""How Kafka clients reach the broker: TLS, SASL, and what is said when the broker or the network will not have it.

    PLAINTEXT        nothing; loopback only, see ``Settings.allow_plaintext``
    SSL              TLS; with a client certificate the broker knows us by it
    SASL_SSL         TLS, and a user and password (SCRAM, PLAIN) or a token (OAUTHBEARER)
    SASL_PLAINTEXT   a user without TLS: as PLAINTEXT

``client_settings`` gives the names that kafka-python and aiokafka share; ``for_aiokafka`` and ``faust_credentials`` the
little that differs. Passwords go through them as :class:`Hidden`: no repr of a mapping, of options or of a frame shows one.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Self

from streams.errors import ServerError, ShellError, UsageError, one_line
from streams.logs import hide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streams.config import Settings

PROBE_TIMEOUT_S = 5.0
_HOST_DIFFERS = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class Hidden(str):
    """A text that is itself to those who use it, and stars to those who show it. Logs leave it out as well."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        hide(text)
        return super().__new__(cls, text)

    def __repr__(self) -> str:
        return "'***'"


class ClientSettings(dict[str, Any]):
    """What a Kafka client takes to reach the broker.

    Attributes:
        loopback_only: not encrypted, and only permitted because the broker is on this machine.
    """

    loopback_only = False


def client_settings(settings: Settings) -> ClientSettings:
    """What every Kafka client takes to reach the broker, for kafka-python; see ``for_aiokafka`` for the other.

    Raises:
        UsageError: a file of certificates, keys or secrets cannot be read or is none.
    """
    protocol = ("SASL_" if settings.sasl else "") + ("SSL" if settings.encrypted else "PLAINTEXT")
    found = ClientSettings(bootstrap_servers=settings.broker, security_protocol=protocol)
    found.loopback_only = not settings.encrypted and not settings.allow_plaintext
    if settings.encrypted:
        found["ssl_context"] = _tls_context(settings)
    if settings.sasl == "OAUTHBEARER":
        assert settings.sasl_token_file is not None
        found |= {"sasl_mechanism": settings.sasl, "sasl_oauth_token_provider": _tokens(settings.sasl_token_file)}
    elif settings.sasl:
        found |= {
            "sasl_mechanism": settings.sasl,
            "sasl_plain_username": settings.sasl_user,
            "sasl_plain_password": _password(settings),
        }
    return found


def _tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or later that checks the broker's certificate and name."""
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise _bad_file("M1CEP_TLS_CA", settings.tls_ca, error, "PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_cert is not None:
        secret = settings.tls_key_password
        # Without a password OpenSSL would ask for one on the terminal, and a worker would wait for ever.
        password = Hidden(secret.get_secret_value()) if secret else ""
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key, lambda: password)
        except (OSError, ssl.SSLError, ValueError) as error:
            where = settings.tls_cert if settings.tls_key is None else f"{settings.tls_cert} and {settings.tls_key}"
            raise _bad_file(
                "M1CEP_TLS_CERT and M1CEP_TLS_KEY", where, error, "a PEM certificate and its key"
            ) from error
    return context


def _password(settings: Settings) -> Hidden:
    if settings.sasl_password is not None:
        return Hidden(settings.sasl_password.get_secret_value())
    assert settings.sasl_password_file is not None
    return secret_of("M1CEP_SASL_PASSWORD_FILE", settings.sasl_password_file)


def signer_passphrase(settings: Settings) -> Hidden:
    """What opens a custody signer's keyfile.

    Raises:
        UsageError: it is not given, given twice, or its file cannot be read.
    """
    if (settings.signer_passphrase is None) == (settings.signer_passphrase_file is None):
        raise UsageError(
            "a signer needs the passphrase of its keyfile, from one place",
            "set M1CEP_SIGNER_PASSPHRASE_FILE to a file that holds it, or M1CEP_SIGNER_PASSPHRASE",
        )
    if settings.signer_passphrase is not None:
        return Hidden(settings.signer_passphrase.get_secret_value())
    assert settings.signer_passphrase_file is not None
    return secret_of("M1CEP_SIGNER_PASSPHRASE_FILE", settings.signer_passphrase_file)


def secret_of(variable: str, file: Path) -> Hidden:
    """The file's text without the line end that editors add.

    Raises:
        UsageError: it cannot be read, or is empty; names the variable.
    """
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_file(variable, file, error, "a secret in UTF-8") from error
    if not text:
        raise UsageError(f"{variable}: {file} is empty")
    return Hidden(text)


def _bad_file(variable: str, file: object, error: Exception, wanted: str) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror and error.errno else type(error).__name__
    return UsageError(f"{variable}: expected {wanted} in {file}: {reason}")


def _tokens(file: Path) -> Any:
    """kafka-python's provider of OAuth tokens: the file, read at each connection, as whoever renews it writes it anew."""
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class FileTokens(AbstractTokenProvider):  # type: ignore[misc] # untyped
        def token(self) -> str:
            return secret_of("M1CEP_SASL_TOKEN_FILE", file)

    tokens = FileTokens()
    tokens.token()  # a wrong file is named now
    return tokens


def for_aiokafka(client: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings for aiokafka, which wants another class of token provider."""
    found = dict(client)
    if "sasl_oauth_token_provider" in found:
        from aiokafka.abc import AbstractTokenProvider

        theirs = found["sasl_oauth_token_provider"]

        class AsyncTokens(AbstractTokenProvider):  # type: ignore[misc] # untyped
            async def token(self) -> str:
                return str(theirs.token())

        found["sasl_oauth_token_provider"] = AsyncTokens()
    return found


def faust_credentials(client: Mapping[str, Any]) -> Any:
    """Faust's form of the same. With a user and no TLS context Faust speaks plaintext without a word: so do we only where
    the settings permit it.
    """
    from faust import auth

    protocol = client.get("security_protocol", "PLAINTEXT")
    context = client.get("ssl_context")
    if protocol.endswith("SSL") and context is None:
        raise ShellError(f"security protocol {protocol} without a TLS context")  # never plaintext by mistake
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return auth.SSLCredentials(context)
    if client["sasl_mechanism"] == "OAUTHBEARER":
        tokens = for_aiokafka(client)["sasl_oauth_token_provider"]
        return auth.OAuthCredentials(oauth_cb=tokens, ssl_context=context)
    return auth.SASLCredentials(
        username=client["sasl_plain_username"],
        password=client["sasl_plain_password"],
        ssl_context=context,
        mechanism=client["sasl_mechanism"],
    )


# -- why a broker cannot be reached ---------------------------------------------------------------------------------------


def check_access(client: Mapping[str, Any]) -> None:
    """As ``check_access_async``, where no event loop runs."""
    asyncio.run(check_access_async(client))


async def check_access_async(client: Mapping[str, Any]) -> None:
    """Connect once and say clearly what is wrong, where client libraries would try again until their time is up.

    Returns when all is well, and when nobody takes the connection.

    Raises:
        ServerError: TLS fails, or the broker refuses the user.
        UsageError: the broker on this machine sends clients on to another one, which would be reached without TLS.
    """
    from aiokafka.conn import create_conn
    from aiokafka.errors import KafkaError
    from aiokafka.protocol.metadata import MetadataRequest

    from streams.config import split_address

    options = for_aiokafka(client)
    address = options.pop("bootstrap_servers")
    host, port = split_address(address)
    timeout_ms = int(PROBE_TIMEOUT_S * 1000)
    try:
        connection = await create_conn(host, port, client_id="m1cep", request_timeout_ms=timeout_ms, **options)
    except (KafkaError, OSError) as error:
        refusal = _refusal(str(address), client, error)
        if refusal is not None:
            raise refusal from error
        return
    try:
        if getattr(client, "loopback_only", False):
            answer = await connection.send(MetadataRequest([]))
            _stay_on_loopback(str(address), [f"{host}:{port}" for _, host, port, *_ in answer.brokers])
    finally:
        connection.close()


def _stay_on_loopback(address: str, advertised: list[str]) -> None:
    """A forwarded port of another machine's broker looks like one of this machine; its advertised address does not."""
    from streams.config import is_loopback

    for elsewhere in advertised:
        if not is_loopback(elsewhere.rpartition(":")[0]):
            raise UsageError(
                f"the broker at {address} sends clients on to {elsewhere}, which is not on this machine, and the connection "
                "would not be encrypted",
                "set M1CEP_TLS=true, or M1CEP_ALLOW_PLAINTEXT=true if the network between is trusted",
            )


def _refusal(address: str, client: Mapping[str, Any], error: Exception) -> ServerError | None:
    """What an error of the first connection means; None when it is no more than that nobody answers."""
    from aiokafka.errors import KafkaConnectionError, KafkaError

    encrypted = "ssl_context" in client
    told = one_line(str(error))
    match error:
        case ssl.SSLCertVerificationError() if error.verify_code in _HOST_DIFFERS:
            message = f"the certificate of the broker at {address} is another host's: {error.verify_message}"
            remedy = "name the broker in M1CEP_BROKER as its certificate does"
        case ssl.SSLCertVerificationError():
            message = f"the certificate of the broker at {address} is not trusted: {error.verify_message}"
            remedy = "M1CEP_TLS_CA names the file with the certificate of the authority that signed it"
        case ssl.SSLError():
            message = f"the broker at {address} does not speak TLS as we do: {error.reason or told}"
            remedy = "is the port that of its TLS listener?"
        case ConnectionResetError() | KafkaConnectionError() if encrypted:
            message = f"the broker at {address} ends the connection during the TLS or SASL handshake"
            remedy = (
                "is it a TLS listener? does it want a client certificate (M1CEP_TLS_CERT, M1CEP_TLS_KEY) or a user "
                "(M1CEP_SASL)?"
            )
        case ConnectionResetError() | KafkaConnectionError():
            message = f"what listens at {address} ends the connection at the first request"
            remedy = "is it a TLS listener? then set M1CEP_TLS=true; is it a Kafka broker at all?"
        case OSError():
            return None
        case KafkaError() if "sasl_mechanism" in client:
            who = f"user {client['sasl_plain_username']!r}" if "sasl_plain_username" in client else "the token"
            message = f"the broker at {address} refuses {who} with {client['sasl_mechanism']}: {told}"
            remedy = "check M1CEP_SASL and what belongs to it"
        case _:
            return None
    return ServerError(message, remedy)
