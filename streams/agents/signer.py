"""The signer agent: one of those who share the vaults' keys, in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from m1cep.custody.policy import parse_policy
from streams.custody.keyfile import Keyfile
from streams.custody.mail import ROUNDS, signer_topic
from streams.custody.roster import load_roster, signer_name
from streams.custody.signer_machine import SignerMachine, topics
from streams.errors import UsageError
from streams.files import read_text

if TYPE_CHECKING:
    from streams.agents.context import AgentContext
    from streams.agents.solo import Solo

_log = structlog.get_logger(__name__)


async def build(context: AgentContext) -> Solo:
    """The runner of a signer; its name is ``signer-N``.

    Raises:
        UsageError: an option is missing; a file cannot be read, or is not this signer's.
        CustodyError: the policy is refused, or the roster does not know the keyfile's signer.
        ServerError: a topic is missing.
    """
    options = context.options.custody
    if options is None or options.policy is None or options.signer is None or options.keyfile is None:
        raise UsageError("the agent signer needs --signer, --custody, --policy and --keyfile")
    roster = load_roster(options.roster)
    policy = parse_policy(read_text(options.policy))
    keyfile = Keyfile.open(options.keyfile, options.passphrase)
    if keyfile.number != options.signer:
        raise UsageError(f"{options.keyfile} is of signer {keyfile.number}, not of signer {options.signer}")
    machine = SignerMachine(roster, policy, keyfile, stats=context.stats)
    _log.info("signer.opened", signer=keyfile.number, vaults=sorted(keyfile.held), policy=policy.hash)
    others = [signer_topic(number) for number in roster.signers if number != keyfile.number]
    inputs = topics(keyfile.number, audit=roster.audit is not None)
    return await context.new_solo(
        signer_name(keyfile.number), machine, inputs, outputs=[ROUNDS, *others], calm=frozenset(inputs) - {ROUNDS}
    )
