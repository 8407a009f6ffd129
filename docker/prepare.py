#!/usr/bin/env python3
"""Makes what compose.yaml needs and no repository may hold: passwords, tokens, settings with addresses, keys, certificates.

    python3 docker/prepare.py                # passwords and settings: enough for the small start
    python3 docker/prepare.py --custody      # also keyfiles, keys, roster and policy of a custody for trying out
    python3 docker/prepare.py --tls          # also an authority, certificates and Kafka users, for compose.tls.yaml

Everything goes to docker/secrets, a folder for you alone. Files inside may be read by everybody: a container sees only those
that are mounted into it, and its user is not yours. What is there stays as it is; the settings (*.toml) are written anew.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

DOCKER = Path(__file__).resolve().parent
SECRETS = DOCKER / "secrets"
M1CEP = (sys.executable, str(DOCKER.parent / "run.py"))

POSTGRES = ("superuser", "owner", "ledger", "risk", "replication")
VALKEY = {  # docs/cache.md: who judges only reads
    "m1cep-risk": "~m1cep:* +@read +@connection -@dangerous",
    "m1cep-lists": "~m1cep:* +@read +@write +@connection +@transaction -@dangerous",
}
#: Kafka users, by the names of the roles in docs/security.md.
KAFKA = (
    *(
        "admin",
        "producer",
        "worker",
        "reader",
        "grids",
        "exchange",
        "ledger",
        "pretrade",
        "results",
        "notify",
        "dashboard",
    ),
    *("operator", "lifter", "requester", "auditor", "facts", "coordinator", "signer-1", "signer-2", "signer-3"),
)
SIGNERS = (1, 2, 3)
#: A signer trusts no network; keyfiles are opened with a passphrase of its own.
CERTIFICATES = {
    "kafka": "DNS:kafka,DNS:localhost",
    "postgres": "DNS:postgres,DNS:postgres-replica",
    "valkey": "DNS:valkey",
}
DAYS = "825"

POLICY = """\
# For trying out: see docs/custody-policy.md before you use any of it.
version: 1
summary: Trial in containers
people: {{{people}}}
groups: {{officers: [officer-1, officer-2]}}
change: {{group: officers, count: 2}}
refuse_alerts: critical
rules:
  - name: large
    when: {{asset: "bitcoin:regtest/BTC", amount_above: 1_000_000}}
    then: approve
    group: officers
    count: 2
  - name: bitcoin
    when: {{asset: "bitcoin:regtest/BTC"}}
    then: allow
  - name: rest
    then: reject
    reason: not foreseen
"""


def main(argv: list[str] | None = None, folder: Path = SECRETS, m1cep: tuple[str, ...] = M1CEP) -> int:
    """Make what is missing.

    Args:
        argv: of the command.
        folder: where everything goes.
        m1cep: the command that makes custody's keys.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--custody", action="store_true", help="keyfiles, keys, roster and policy for trying out")
    parser.add_argument("--tls", action="store_true", help="certificates and Kafka users for compose.tls.yaml")
    asked = parser.parse_args(argv)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    settings(folder)
    if asked.tls:
        if shutil.which("openssl") is None:
            print("prepare.py: there is no openssl command to make certificates with; install it", file=sys.stderr)
            return 1
        certificates(folder)
        for user in KAFKA:
            password(folder, f"kafka_{user}")
    if asked.custody:
        custody(folder, m1cep)
    print(f"prepare.py: everything is in {folder}")
    return 0


# --- passwords and settings -------------------------------------------------------------------------------------------


def password(folder: Path, name: str) -> str:
    """A password in a file of that name; made when it is not there."""
    file = folder / name
    if not file.exists():
        write(file, secrets.token_urlsafe(32))
    return file.read_text()


def settings(folder: Path) -> None:
    """Passwords, and one m1cep.toml for each kind of service with the addresses that it may use."""
    postgres = {role: password(folder, f"postgres_{role}") for role in POSTGRES}
    valkey = {user: password(folder, f"valkey_{user}") for user in VALKEY}
    password(folder, "grafana_admin")
    # Who may see the workers' pages: you, and Prometheus.
    tokens = [f"{name}:{password(folder, f'web_token_{name}')}\n" for name in ("operator", "prometheus")]
    write(folder / "web_tokens", "".join(tokens))
    users = [f"user {user} on >{valkey[user]} {may}" for user, may in VALKEY.items()]
    write(folder / "valkey_acl", "\n".join(["user default off", *users, ""]))
    for kind, sslmode, scheme, ca in (
        ("toml", "disable", "redis", ""),
        ("tls.toml", "verify-full&sslrootcert=/run/secrets/ca", "rediss", "?ssl_ca_certs=/run/secrets/ca"),
    ):

        def database(role: str, hosts: str, sslmode: str = sslmode) -> str:
            return f"postgresql://m1cep_{role}:{quote(postgres[role])}@{hosts}/m1cep?sslmode={sslmode}"

        def cache(user: str, scheme: str = scheme, ca: str = ca) -> str:
            return f"{scheme}://{user}:{quote(valkey[user])}@valkey:6379/0{ca}"

        write_toml(folder / f"risk.{kind}", cache_url=cache("m1cep-risk"))
        write_toml(folder / f"lists.{kind}", cache_url=cache("m1cep-lists"))
        write_toml(folder / f"migrate.{kind}", db_owner_url=database("owner", "postgres,postgres-replica"))
        reading = database("risk", "postgres-replica")
        write_toml(
            folder / f"ledger.{kind}",
            db_write_url=database("ledger", "postgres,postgres-replica"),
            db_read_url=reading,
        )
        write_toml(folder / f"people.{kind}", cache_url=cache("m1cep-lists"), db_read_url=reading)


def write_toml(file: Path, **values: str) -> None:
    """Settings, as `m1cep` reads them."""
    write(file, "".join(f'{name} = "{value}"\n' for name, value in values.items()))


def write(file: Path, text: str) -> None:
    """Whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    part.chmod(0o644)
    part.replace(file)


# --- TLS --------------------------------------------------------------------------------------------------------------


def certificates(folder: Path) -> None:
    """An authority of our own, and a certificate for each server."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    if not ca.exists():
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl(
            "req", "-x509", *new_key, "-days", DAYS, "-subj", "/CN=M1CEP trial authority", *usage, keyout=ca_key, out=ca
        )
        ca_key.chmod(0o600)  # mounted nowhere
    for name, names in CERTIFICATES.items():
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        if not certificate.exists():
            signed = ("-CA", str(ca), "-CAkey", str(ca_key), "-days", DAYS, "-subj", f"/CN={name}")
            extensions = ("-addext", f"subjectAltName={names}", "-addext", "extendedKeyUsage=serverAuth")
            openssl("req", "-x509", *new_key, *signed, *extensions, keyout=key, out=certificate)
            key.chmod(0o644)
    write(folder / "kafka.pem", (folder / "kafka.key").read_text() + (folder / "kafka.crt").read_text())


def openssl(*arguments: str, keyout: Path, out: Path) -> None:
    """Run openssl; the certificate appears whole, after its key."""
    part = out.with_suffix(".part")
    command = ["openssl", *arguments, "-keyout", str(keyout), "-out", str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"prepare.py: openssl failed: {done.stderr.strip()[-300:]}")
    part.replace(out)


# --- custody ----------------------------------------------------------------------------------------------------------


def custody(folder: Path, m1cep: tuple[str, ...]) -> None:
    """Keys of everybody, roster and policy. In earnest each signer makes its keyfile on its own machine."""
    place = folder / "custody"
    place.mkdir(exist_ok=True)
    if (place / "custody.toml").exists():
        return
    for left in place.iterdir():  # of a run that was ended: the roster is written last
        left.unlink()
    public = {}
    for name in ("coordinator", "chains", "operations", "shop", "officer-1", "officer-2"):
        public[name] = said(m1cep, "custody", "key", str(place / f"{name}.key"))
    signers = []
    for number in SIGNERS:
        passphrase = place / f"signer-{number}.passphrase"
        write(passphrase, secrets.token_urlsafe(24))
        keyfile = str(place / f"signer-{number}.keyfile")
        environment = {"M1CEP_SIGNER_PASSPHRASE_FILE": str(passphrase)}
        signers.append(said(m1cep, "custody", "identity", "--signer", str(number), "--keyfile", keyfile, **environment))
    for file in (*place.glob("signer-*"), place / "coordinator.key", place / "chains.key"):
        file.chmod(0o644)  # the folder above is for its owner alone; each container makes a copy that only it can read
    people = ", ".join(f"{name}: {public[name]}" for name in ("officer-1", "officer-2"))
    write(place / "policy.yaml", POLICY.format(people=people))
    lines = ["[coordinator]", f'key = "{public["coordinator"]}"', "", "[facts]"]
    lines += [f'{name} = "{public[name]}"' for name in ("chains", "operations")]
    lines += ["", "[requesters]", f'shop = "{public["shop"]}"', "", "[signers]", *signers]
    lines += ["", "[vaults.alice-btc]", 'chain = "bitcoin:regtest"', 'account = "alice"']
    lines += ["signers = [1, 2, 3]", "threshold = 2"]
    lines += ["", "[audit]", "signers = [1, 2, 3]", "threshold = 2", ""]
    write(place / "custody.toml", "\n".join(lines))


def said(m1cep: tuple[str, ...], *arguments: str, **environment: str) -> str:
    """The one line that a command prints."""
    command = [*m1cep, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"prepare.py: {' '.join(arguments[:2])} failed, see above")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
