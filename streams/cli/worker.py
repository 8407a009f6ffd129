"""``m1cep worker``: agents on Kafka, in the foreground."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import completion as complete
from streams.cli.options import Lookups, Streams  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from m1cep import Rule
    from streams.agents.context import CustodyOptions, LedgerOptions
    from streams.cache.copies import Copies
    from streams.cache.library import Still
    from streams.config import Settings

#: On this machine is usually the embedded broker: a group is joined after half of the session's time, and new data are only
#: seen at the next fetch, so these are asked for often (p50 of an alert's latency is 28 ms with 50, 22 ms with 20). Kafka
#: answers a fetch as soon as there is something.
_SESSION_LOCAL_S, _SESSION_S = 6.0, 20.0
_FETCH_WAIT_LOCAL_MS, _FETCH_WAIT_MS = 20, 100

#: Compiling the packaged rules takes as long as all the rest of a start; who reads no streams needs no declarations either.
_WITH_RULES = frozenset({"risk", "rekey", "dashboard"})
_WITH_LOOKUPS = frozenset({"risk", "pretrade"})
_WITHOUT_STREAMS = frozenset({"signer", "custody", "notify"})

Rules = Annotated[
    list[Path] | None, typer.Option(help="A rule file or folder; may be repeated. Default: the packaged rules.")
]
StatsFile = Annotated[Path | None, typer.Option(help="Write counters here, as one JSON object.")]


def worker(  # noqa: PLR0913, PLR0917 - the options of a command
    agents: Annotated[
        str, typer.Option(help="Agents to run, separated by commas.", autocompletion=complete.agents)
    ] = "risk",
    rules: Rules = None,
    streams: Streams = None,
    lookups: Lookups = None,
    markets: Annotated[
        Path | None, typer.Option(help="Markets of the paper exchange (TOML); default: the packaged ones.")
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help="Limits of the pre-trade check (TOML); default: the packaged ones.")
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="Where alerts go (TOML), of the agent notify; default: M1CEP_NOTIFY.")
    ] = None,
    custody: Annotated[
        Path | None, typer.Option(help="Custody's roster (TOML): for the agents signer and custody.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Custody's policy (YAML): this signer's own copy.")] = None,
    signer: Annotated[
        int | None, typer.Option(min=1, max=255, help="Number of the signer, of the agent signer.")
    ] = None,
    keyfile: Annotated[
        Path | None,
        typer.Option(help="The signer's keyfile; M1CEP_SIGNER_PASSPHRASE_FILE names the file with its passphrase."),
    ] = None,
    coordinator_key: Annotated[
        Path | None, typer.Option(help="The coordinator's key, of the agent custody; m1cep custody key makes one.")
    ] = None,
    chains_key: Annotated[
        Path | None, typer.Option(help="Key of the roster's source of facts `chains`, of the agent custody.")
    ] = None,
    chains: Annotated[str, typer.Option(help="Chains behind the agent custody: local, lost when it ends.")] = "local",
    chart: Annotated[Path | None, typer.Option(help="Chart of accounts (TOML), of the agent ledger.")] = None,
    pass_over_lost: Annotated[
        bool,
        typer.Option(
            help="Of the agent ledger: book on although records were deleted from the topics before they were booked."
        ),
    ] = False,
    statements: Annotated[
        Path | None,
        typer.Option(
            help="Folder below which `m1cep ledger prove` publishes: what the agent dashboard shows of reserves."
        ),
    ] = None,
    group: Annotated[
        str, typer.Option(help="Prefix of the consumer groups; workers of one group share the work.")
    ] = "m1cep",
    web_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Serve /metrics, /healthz and /readyz on this port; 0: any free one. Default: M1CEP_WEB_PORT, else not.",
        ),
    ] = None,
    stats_file: StatsFile = None,
    stats_every_ms: Annotated[int, typer.Option(min=10, help="How often --stats-file is rewritten.")] = 1000,
    idle_timeout_ms: Annotated[
        int, typer.Option(min=1, help="A topic silent for so long no longer holds back the others' events.")
    ] = 100,
    silence_ms: Annotated[
        int,
        typer.Option(min=0, help="Event time goes on in a silent partition, so far behind; 0: it stands still."),
    ] = 5000,
    seen: Annotated[
        int, typer.Option(min=0, help="Events of a topic and partition that are remembered to drop repetitions.")
    ] = 10_000,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="A topic with so many events waiting for other topics is not read further.")
    ] = 20_000,
    broker_timeout: Annotated[
        float, typer.Option(min=1, help="Give up on a broker that has been silent for so many seconds.")
    ] = 10.0,
    stall_timeout: Annotated[
        float, typer.Option(min=1, help="End a worker that stands still for so many seconds while events come.")
    ] = 60.0,
    session_timeout: Annotated[
        float | None,
        typer.Option(min=2, help="Seconds after which the group replaces a silent worker. Default: 6 local, else 20."),
    ] = None,
    fetch_wait_ms: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How long the broker may wait for new records before it answers; the embedded one always does. "
            "Default: 20 local, else 100.",
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON lines on a terminal too.")] = False,
) -> None:
    """Read the input topics, run the rules, write alerts; until Ctrl-C or SIGTERM.

    Exit code 0 after a signal, 1 when it cannot go on, 3 when the broker is missing or lost.

    Example: m1cep worker --agents risk --rules my_rules/
    """
    from streams.agents.context import WorkerOptions
    from streams.config import is_loopback, load_settings
    from streams.errors import UsageError
    from streams.files import load_rules, load_streams
    from streams.gateways.access import venue_access
    from streams.logs import configure_logs
    from streams.readiness import ready_limits
    from streams.web.access import web_options
    from streams.worker import run_worker

    if log_level not in ("debug", "info", "warning", "error"):
        raise UsageError(f"--log-level expects debug, info, warning or error, got {log_level!r}")
    if stats_file is not None and not stats_file.absolute().parent.is_dir():
        raise UsageError(f"--stats-file: there is no folder {stats_file.absolute().parent}")
    settings = load_settings(lookups=lookups, web_port=web_port)
    configure_logs(log_level, json=as_json or None)
    names = [name.strip() for name in agents.split(",")]
    local = is_loopback(settings.broker_host)
    ruled = not _WITH_RULES.isdisjoint(names)
    declared = load_streams(streams) if set(names) - _WITHOUT_STREAMS else {}
    compiled = load_rules(rules, declared) if ruled else []
    with _library(settings, compiled, names, limits) as library:
        run_worker(
            WorkerOptions(
                agents=names,
                rules=compiled,
                live_rules=True,
                streams=declared,
                lookups=library,
                cache_url=settings.cache_url,
                markets=markets,
                limits=limits,
                targets=targets or settings.notify,
                rpc_port=settings.rpc_port,
                custody=_custody(
                    settings, names, custody, policy, signer, keyfile, (coordinator_key, chains_key, chains)
                ),
                venue=venue_access(settings),
                client=settings.client_settings(),
                ledger=_ledger(settings, chart, pass_over_lost) if "ledger" in names else None,
                statements=statements,
                state_dir=settings.state_dir,
                state_url=settings.state_url,
                allow_plaintext=settings.allow_plaintext,
                group=group,
                web=web_options(settings),
                ready=ready_limits(settings),
                stats_file=stats_file,
                stats_every_s=stats_every_ms / 1000,
                idle_timeout_s=idle_timeout_ms / 1000,
                silence_s=silence_ms / 1000,
                seen=seen,
                max_waiting=max_waiting,
                broker_timeout_s=broker_timeout,
                stall_timeout_s=stall_timeout,
                session_timeout_s=session_timeout or (_SESSION_LOCAL_S if local else _SESSION_S),
                fetch_max_wait_ms=fetch_wait_ms or (_FETCH_WAIT_LOCAL_MS if local else _FETCH_WAIT_MS),
            )
        )


@contextmanager
def _library(
    settings: Settings, rules: Sequence[Rule], agents: Sequence[str], limits: Path | None
) -> Iterator[Still | Copies | None]:
    """Lists and parameters for the agents that judge by them."""
    if _WITH_LOOKUPS.isdisjoint(agents):
        yield None
        return
    from streams.cache.library import open_library, wanted_by

    wanted = set(wanted_by(rules))
    if "pretrade" in agents:
        from streams.rpc.limits import load_limits

        _, checks = load_limits(limits)
        names = (*checks.refuse_accounts, *checks.refuse_symbols, checks.allow_symbols)
        wanted |= {f"list {name}" for name in names if name} | {f"param {n}" for n in checks.parameters.values()}
    library = open_library(settings, wanted)
    try:
        yield library
    finally:
        library.close()


def _ledger(settings: Settings, chart: Path | None, pass_over_lost: bool) -> LedgerOptions:
    from streams.agents.context import LedgerOptions
    from streams.ledger.connections import read_addresses, write_addresses

    replicas = read_addresses(settings) if settings.db_read_url else ()
    return LedgerOptions(write_addresses(settings), chart, replicas, pass_over_lost)


def _custody(
    settings: Settings,
    agents: Sequence[str],
    roster: Path | None,
    policy: Path | None,
    signer: int | None,
    keyfile: Path | None,
    coordinator: tuple[Path | None, Path | None, str],
) -> CustodyOptions | None:
    """What of the options is about custody."""
    from streams.agents.context import CustodyOptions
    from streams.errors import UsageError
    from streams.security import signer_passphrase

    if roster is None:
        return None
    if "signer" not in agents:
        return CustodyOptions(roster, policy, None, None, "", *coordinator)
    if policy is None or signer is None or keyfile is None:
        raise UsageError("the agent signer needs --signer, --custody, --policy and --keyfile")
    return CustodyOptions(roster, policy, signer, keyfile, signer_passphrase(settings), *coordinator)
