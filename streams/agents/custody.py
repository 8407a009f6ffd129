"""The custody agent: the coordinator of releases and ceremonies, with the chains and the audit log behind it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from m1cep.custody.policy import parse_policy
from streams import codec
from streams.chains.local import KINDS, open_local
from streams.config import load_settings
from streams.custody.chaindesk import ChainDesk
from streams.custody.coordinating import TOPICS, CoordinatorMachine
from streams.custody.journal import Journal
from streams.custody.mail import LOG, RELEASES, ROUNDS, STANDING
from streams.custody.roster import COORDINATOR, load_roster
from streams.custody.seeds import load_pen
from streams.errors import UsageError
from streams.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from m1cep.custody.chains.interface import LocalNode
    from streams.agents.context import AgentContext
    from streams.agents.solo import Solo

_log = structlog.get_logger(__name__)

NAME = "custody"
CHAINS = "chains"  # the source of facts in the roster that tells balances and locks


async def build(context: AgentContext) -> Solo:
    """The runner of the coordinator.

    Raises:
        UsageError: an option is missing; a file cannot be read.
        CustodyError: the policy is refused, or the roster has other keys than those at hand.
        ShellError: the audit log is broken.
        ServerError: a topic is missing.
    """
    options = context.options.custody
    if options is None or options.policy is None or options.key is None or options.chains_key is None:
        raise UsageError("the agent custody needs --custody, --policy, --coordinator-key and --chains-key")
    if options.chains != "local":
        raise UsageError(f"--chains expects local, got {options.chains!r}", "chains elsewhere are not connected to yet")
    roster = load_roster(options.roster)
    policy = parse_policy(read_text(options.policy))
    cluster = (await context.outbox.look([ROUNDS])).id or "unnamed"
    journal = Journal(audit_file(context.options.state_dir, cluster, context.options.group))
    machine = CoordinatorMachine(
        roster,
        policy,
        load_pen(COORDINATOR, options.key),
        load_pen(CHAINS, options.chains_key),
        ChainDesk(roster.vaults, _open_local),
        journal,
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    _log.info("custody.opened", vaults=sorted(roster.vaults), chains="local", audit=journal.head.seq)
    outputs = [
        ROUNDS,
        RELEASES,
        STANDING,
        codec.ALERTS,
        codec.DEAD_LETTERS,
        *([LOG] if roster.audit is not None else []),
    ]
    return await context.new_solo(NAME, machine, TOPICS, outputs=outputs)


def audit_file(state_dir: Path, cluster: str, group: str) -> Path:
    """Where the audit log is: by cluster and group, as the state is."""
    return state_dir / "custody" / f"audit-{quote(cluster, safe='')}-{quote(group, safe='')}.jsonl"


def _open_local(name: str) -> LocalNode[Any]:
    kind = name.partition(":")[0]
    if kind not in KINDS:
        raise UsageError(f"there is no local chain {name!r}", f"kinds are: {', '.join(KINDS)}")
    return open_local(kind, load_settings().home / "safe")
