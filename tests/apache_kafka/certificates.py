"""Certificates of our own for the tests, made by the openssl command: an authority, a broker, clients, a stranger."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from apache_kafka.jars import Missing

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
_SASL = {
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    # Without a validator of its own Kafka takes unsigned tokens: for tests only.
    "OAUTHBEARER": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
    'unsecuredLoginStringClaim_sub="broker";',
}


class Certificates:
    """PEM files.

    Attributes:
        ca: the authority that signed the broker's and the clients' certificates.
        strange_ca: another one, of which the broker knows nothing.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise Missing("there is no openssl command to make certificates with")
        folder.mkdir()
        self._folder = folder
        self.ca = self._authority("ca")
        self.strange_ca = self._authority("strange-ca")
        self._broker = self.of("broker", "subjectAltName=IP:127.0.0.1,DNS:localhost")

    def of(self, name: str, extension: str = "extendedKeyUsage=clientAuth") -> tuple[Path, Path]:
        """Certificate and key of a client, whose principal is ``User:name``."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        signed_by = ("-CA", self.ca, "-CAkey", self.ca.with_suffix(".key"), "-days", 2)
        self._openssl("req", "-x509", *_KEY, *signed_by, *self._made(name, certificate, key), "-addext", extension)
        return certificate, key

    def broker_settings(self, users: dict[str, str]) -> dict[str, str]:
        """What the broker's configuration says about its TLS listeners."""
        certificate, key = self._broker
        both = certificate.with_name("broker-both.pem")
        both.write_text(key.read_text() + certificate.read_text())
        accounts = " ".join(f'user_{name}="{password}"' for name, password in users.items())
        plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};"
        listener = "listener.name.sasl_ssl."
        jaas = {f"{listener}{name.lower()}.sasl.jaas.config": text for name, text in {**_SASL, "PLAIN": plain}.items()}
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "listener.name.ssl.ssl.client.auth": "required",
            f"{listener}sasl.enabled.mechanisms": ",".join([*_SASL, "PLAIN"]),
            **jaas,
        }

    def _authority(self, name: str) -> Path:
        certificate = self._folder / f"{name}.pem"
        extension = ("-addext", "keyUsage=critical,keyCertSign")
        made = self._made(name, certificate, certificate.with_suffix(".key"))
        self._openssl("req", "-x509", *_KEY, "-days", 2, *made, *extension)
        return certificate

    def _made(self, name: str, certificate: Path, key: Path) -> tuple[object, ...]:
        return "-subj", f"/CN={name}", "-out", certificate, "-keyout", key

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
