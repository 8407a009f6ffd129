"""The servers that settings name: is each there, is it as it should be, what may we do there, and does its clock agree."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streams.doctor.findings import Finding
from streams.errors import ServerError, ShellError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka import KafkaAdminClient

    from streams.config import Settings
    from streams.doctor.findings import Verdict

_MOST_SKEW_S = 1.0
_KEPT = ("cleanup.policy", "retention.ms")


def look(settings: Settings) -> Iterator[Finding]:
    """Broker, cache and databases."""
    yield from _broker(settings)
    if settings.cache_url is not None:
        yield from _cache(settings)
    for name in ("db_write_url", "db_owner_url", "db_read_url"):
        if getattr(settings, name) is not None:
            yield from _database(settings, name)
    if settings.db_read_url is not None and settings.db_write_url is not None:
        yield from _risk(settings)


# -- broker


def _broker(settings: Settings) -> Iterator[Finding]:
    from streams.topics import admin_client

    try:
        with admin_client(settings) as admin:
            cluster = admin.describe_cluster()
            count = len(cluster.get("brokers", ()))
            text = f"{settings.broker}: cluster {cluster.get('cluster_id')}, {count} broker{'s' if count != 1 else ''}"
            yield Finding("broker", "broker", "ok", text)
            yield from _topics(admin)
    except ShellError as error:
        # Nobody said that there is one: then it is not asked for.
        verdict: Verdict = "fail" if "broker" in settings.model_fields_set else "warn"
        yield Finding("broker", "broker", verdict, error.message, error.remedy, server=True)


def _topics(admin: KafkaAdminClient) -> Iterator[Finding]:
    from streams.topic_table import BUILT_IN

    found = {topic["name"]: topic for topic in admin.describe_topics()}
    if missing := [topic.name for topic in BUILT_IN if topic.name not in found]:
        many = (
            f"{len(missing)} of {len(BUILT_IN)} missing: {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"
        )
        yield Finding("broker", "topics", "warn", many, "m1cep topics create")
    else:
        yield Finding("broker", "topics", "ok", f"all {len(BUILT_IN)} are there")
    there = [topic for topic in BUILT_IN if topic.name in found]
    counts = {topic.name: len(found[topic.name]["partitions"]) for topic in there if topic.is_input}
    if len(set(counts.values())) > 1:
        odd = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        yield Finding("broker", "partitions", "fail", f"input topics have unequal counts: {odd}", "add partitions")
    elif counts:
        yield Finding("broker", "partitions", "ok", f"{next(iter(counts.values()))} of every input topic")
    yield from _configurations(admin, [topic.name for topic in there])
    yield from _grants([found[topic.name] for topic in there])


def _configurations(admin: KafkaAdminClient, names: list[str]) -> Iterator[Finding]:
    """Topics that are kept otherwise than they should be: what is compacted away or deleted too early is lost."""
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaError

    from streams.topic_table import BUILT_IN

    try:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        kept = admin.describe_configs(resources, config_filter="all").get("topic", {})
    except KafkaError as error:
        yield Finding(
            "broker", "topic settings", "ok", f"not looked at: the broker does not say ({type(error).__name__})"
        )
        return
    other = []
    for topic in BUILT_IN:
        for name in _KEPT:
            wanted, found = topic.config.get(name), kept.get(topic.name, {}).get(name, {}).get("value")
            if wanted is not None and found is not None and found != wanted:
                other.append(f"{topic.name} {name}={found}, not {wanted}")
    if not any(kept.values()):
        yield Finding("broker", "topic settings", "ok", "not looked at: the broker keeps none")
    elif other:
        text = "; ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
        yield Finding(
            "broker", "topic settings", "warn", text, "kafka-configs.sh --alter, or leave it if you mean it so"
        )
    else:
        yield Finding("broker", "topic settings", "ok", "as `m1cep topics create` makes them")


def _grants(topics: list[dict[str, object]]) -> Iterator[Finding]:
    """What this user may do with topics, where the broker says so."""
    may: dict[str, list[str]] = {"READ": [], "WRITE": []}
    told = False
    for topic in topics:
        operations = topic.get("authorized_operations")
        if isinstance(operations, list) and operations:
            told = True
            names = {str(one).upper() for one in operations}
            for one, granted in may.items():
                if one in names or "ALL" in names:
                    granted.append(str(topic["name"]))
    if told:
        words = (f"{word.lower()} {len(names)}" for word, names in may.items())
        text = f"may {', '.join(words)} of {len(topics)} topics"
        more = "docs/security.md says which role needs what" if min(map(len, may.values())) < len(topics) else ""
        yield Finding("broker", "grants", "ok", f"{text}; {more}" if more else text)
    else:
        yield Finding("broker", "grants", "ok", "not looked at: the broker does not say")


# -- cache and databases


def _cache(settings: Settings) -> Iterator[Finding]:
    from streams.cache.address import cache_url, open_client, public_address

    try:
        url = cache_url(settings)
        with open_client(url) as client:
            seconds, micros = client.time()
            version = client.info("server")["redis_version"]
    except ShellError as error:
        yield Finding("cache", "cache", "fail", error.message, error.remedy)
        return
    except Exception as error:  # noqa: BLE001 - redis is an extra: its errors have no name here
        yield _unreachable("cache", "cache", error, "see that it runs and that M1CEP_CACHE_URL is right")
        return
    yield Finding("cache", "cache", "ok", f"{public_address(url)}, version {version}")
    yield _clock("cache", float(seconds) + float(micros) / 1e6)


def _database(settings: Settings, name: str) -> Iterator[Finding]:
    variable = f"M1CEP_{name.upper()}"
    try:
        from streams.database.connection import connect_owner, connect_reader, connect_writer
    except ModuleNotFoundError as error:
        yield Finding("database", name, "fail", f"{error.name} is not installed", "pip install 'm1cep[postgres]'")
        return
    connect = {"db_write_url": connect_writer, "db_owner_url": connect_owner, "db_read_url": connect_reader}[name]
    try:
        with connect(settings) as connection:
            row = connection.execute(
                "SELECT current_user, pg_is_in_recovery(), current_setting('server_version'), "
                "extract(epoch FROM clock_timestamp())"
            ).fetchone()
    except ShellError as error:
        yield Finding("database", name, "fail", error.message, error.remedy)
        return
    except Exception as error:  # noqa: BLE001 - psycopg is an extra, and its errors may hold an address: shown by type
        yield _unreachable("database", name, error, f"see that it runs and that {variable} is right")
        return
    assert row is not None
    role, replica, version, epoch_s = row
    text = f"PostgreSQL {version}, {'a replica' if replica else 'a primary'}, as {role}"
    if name == "db_read_url" and not replica:
        yield Finding("database", name, "warn", text, f"{variable} should name a replica: reports slow the books down")
    else:
        yield Finding("database", name, "ok", text)
    yield _clock(name, float(epoch_s))


def _risk(settings: Settings) -> Iterator[Finding]:
    """The side that reads must not be able to write: tried, and rolled back."""
    try:
        from streams.ledger.access import writes_that_succeed

        assert settings.db_read_url is not None
        assert settings.db_write_url is not None
        plain = settings.allow_plaintext
        done = writes_that_succeed(settings.db_read_url, settings.db_write_url, allow_plaintext=plain)
    except (ShellError, ModuleNotFoundError, ValueError):
        return  # said already
    if done:
        text = f"the role of M1CEP_DB_READ_URL can write: {'; '.join(done[:3])}"
        yield Finding("database", "risk cannot write", "fail", text, "m1cep db roles prints the grants")
    else:
        yield Finding("database", "risk cannot write", "ok", "tried on replica and primary, and refused each time")


def _unreachable(part: str, name: str, error: Exception, remedy: str) -> Finding:
    said = error.message if isinstance(error, ServerError) else f"it cannot be reached ({type(error).__name__})"
    return Finding(part, name, "fail", said, remedy, server=True)


def _clock(server: str, epoch_s: float) -> Finding:
    """A server's clock against ours; reading it took a moment, which counts against it."""
    skew_s = epoch_s - time.time()
    if abs(skew_s) > _MOST_SKEW_S:
        text = f"{abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine"
        return Finding("clock", f"clock of {server}", "warn", text, "have both follow NTP (chrony, systemd-timesyncd)")
    return Finding("clock", f"clock of {server}", "ok", f"within {_MOST_SKEW_S:g} s of this machine's")
