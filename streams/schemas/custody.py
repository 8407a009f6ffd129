"""The topics of custody: signed letters. The body of a letter is text; its own schema stands under contentSchema.

Needs the extra custody: the classes of letters are beside the code that checks signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from streams.errors import UsageError
from streams.schemas.structs import refer, schemas_of
from streams.topic_table import BUILT_IN

if TYPE_CHECKING:
    import msgspec

    from streams.schemas.catalogue import Channel
    from streams.schemas.events import Schema

_SIGNATURE = {"type": "string", "pattern": "^[0-9a-f]{128}$", "description": "Ed25519, hexadecimal."}


def custody_channels() -> list[Channel]:
    """The channels of custody.

    Raises:
        UsageError: the extra is not installed.
    """
    try:
        from m1cep.custody.audit import Entry, Head
        from m1cep.custody.heads import messages as heads
        from m1cep.custody.policy.events import FactEvent
        from m1cep.custody.requests.messages import Approved, Cancel, Said, Status, Submit
        from m1cep.custody.requests.messages import Message as RequestMessage
        from streams.custody import asks, board, bookings, mail, policies, reserving, rites
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the schemas of custody need the extra custody: {error.name} is missing", "install m1cep[custody]"
        ) from error
    between = {"request": RequestMessage, "head": heads.Message, "reserve": heads.Message, "policy": policies.Words}
    return [
        _letters(
            mail.REQUESTS,
            "What people ask for: requests, approvals, ceremonies, policies, reserves.",
            {"request": Submit | Approved | Cancel, "desk": asks.Ask, "policy": policies.Words}
            | {"reserve": reserving.ReserveAsk},
        ),
        _letters(
            mail.ROUNDS,
            "Rounds of signing and of ceremonies between coordinator and signers, and facts.",
            {**between, "ceremony": rites.Words, "fact": FactEvent},
        ),
        _letters(
            mail.RELEASES,
            "How requests end, bookings for the ledger, signed heads of the audit log.",
            {"request": Said | Status, "desk": asks.Said, "books": bookings.Booking, "audit": Head}
            | {"head": heads.SignedHead, "policy": policies.Words},
        ),
        _letters(mail.LOG, "The audit log: an entry a line.", {"log": Entry}, lines=True),
        _letters(
            mail.STANDING,
            "How each request and vault stands.",
            {"standing": board.RequestStands, "desk": asks.Said, "policy": policies.Words, "head": heads.SignedHead},
            tombstones=True,
        ),
        _letters(
            "m1cep.custody.signer-{number}.v1", "What is for one signer alone in ceremonies.", {"ceremony": rites.Words}
        ),
    ]


def _letters(
    address: str, description: str, bodies: dict[str, Any], *, lines: bool = False, tombstones: bool = False
) -> Channel:
    """A topic of letters: for each thing that they may be about, what the body is."""
    from streams.schemas.catalogue import Channel, Message

    definitions: dict[str, Schema] = {}
    messages = []
    for about, type_ in bodies.items():
        classes = _classes(type_)
        found, defined = schemas_of(list(classes))
        clash = [name for name in defined if definitions.get(name, defined[name]) != defined[name]]
        assert not clash, f"two classes of one name on {address}: {clash}"
        definitions |= defined
        content = found[0] if len(found) == 1 else {"anyOf": found}
        name = f"{about.capitalize()}Letter"
        media = "application/x-ndjson" if lines else "application/json"
        body = {"type": "string", "contentMediaType": media, "contentSchema": content}
        definitions[name] = {
            "title": name,
            "description": f"A signed letter about {about!r}.",
            "type": "object",
            "properties": {
                "from": {"type": "string", "description": "Who signed it: a party of the roster, or a person."},
                "about": {"const": about},
                "body": body,
                "signature": _SIGNATURE,
            },
            "required": ["from", "about", "body", "signature"],
            "additionalProperties": False,
        }
        summary = f"A signed letter about {about!r}."
        messages.append(Message(name, refer(name), summary, f"m1cep.custody.{about}.v1"))
    key = next((topic.key for topic in BUILT_IN if topic.name == address), "vault")
    return Channel(address, key, ("send", "receive"), description, tuple(messages), definitions, tombstones)


def _classes(type_: Any) -> tuple[type[msgspec.Struct], ...]:
    return tuple(dict.fromkeys(get_args(type_))) or (type_,)
