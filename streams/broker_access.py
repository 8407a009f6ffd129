"""Whether the settings of TLS and SASL fit together; what is made of them is in ``security``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.config import Settings


def access_fault(settings: Settings) -> str:
    """What is missing or too much among the settings of TLS and SASL; empty when they fit together."""
    sasl = settings.sasl
    login = [n for n in ("sasl_user", "sasl_password", "sasl_password_file") if getattr(settings, n)]
    if settings.tls is False and (settings.tls_ca or settings.tls_cert):
        return "M1CEP_TLS is false, but M1CEP_TLS_CA or M1CEP_TLS_CERT is set; unset the one or the other"
    if settings.tls_key and not settings.tls_cert:
        return "M1CEP_TLS_KEY is set, but no M1CEP_TLS_CERT that it belongs to; set both"
    if sasl is None and (login or settings.sasl_token_file):
        return (
            "there is a SASL user, password or token, but not how to log in; set M1CEP_SASL, to SCRAM-SHA-512 for one"
        )
    if sasl == "OAUTHBEARER":
        if settings.sasl_token_file is None or login:
            return "M1CEP_SASL=OAUTHBEARER takes a token and no user; set M1CEP_SASL_TOKEN_FILE alone"
    elif sasl:
        if settings.sasl_token_file:
            return f"M1CEP_SASL={sasl} takes no token; unset M1CEP_SASL_TOKEN_FILE"
        if "sasl_user" not in login or len(login) != 2:
            return (
                f"M1CEP_SASL={sasl} takes a user and one password; set M1CEP_SASL_USER, and M1CEP_SASL_PASSWORD or "
                "M1CEP_SASL_PASSWORD_FILE"
            )
    return ""
