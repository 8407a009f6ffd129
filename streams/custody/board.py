"""What stands, for everybody to see at once: ``m1cep.custody.standing.v1``, compacted, one record for each request and vault.

Whoever asks where things stand reads this topic and not all that was ever said. A request is taken off an hour after it has
expired, when the coordinator forgets it: what is older is in ``m1cep.custody.releases.v1`` and in the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from m1cep.custody.policy import Approval  # noqa: TC001 - msgspec reads the annotations
from m1cep.custody.request import Request  # noqa: TC001
from m1cep.custody.requests.messages import Status, Vote  # noqa: TC001
from m1cep.errors import CustodyError
from streams.agents.outbox import Packet
from streams.custody.mail import STANDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from m1cep.custody.requests.state import Case
    from streams.codec import Message
    from streams.custody.mail import Pen

ABOUT = "standing"
MAX_BYTES = 256 * 1024
_EVERY_MS = 250  # of one request, while it has not ended
_ONE = 0  # the topic has one partition


class RequestStands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request, all that the coordinator knows of it. Nothing here is to be acted on.

    Attributes:
        votes: the newest of each signer.
    """

    request: Request
    status: Status
    votes: tuple[Vote, ...] = ()
    approvals: tuple[Approval, ...] = ()


_decoder: msgspec.json.Decoder[RequestStands] = msgspec.json.Decoder(RequestStands)


def decode(body: str) -> RequestStands:
    """From the body of a letter.

    Raises:
        CustodyError: it is too long, or not of that form.
    """
    if len(body) > MAX_BYTES:
        raise CustodyError(f"expected a request as it stands of at most {MAX_BYTES} characters, got {len(body)}")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected a request as it stands: {error}") from None


class Board:
    """Writes what has changed.

    Args:
        pen: the coordinator's.
        case: gives a request as the coordinator knows it.
    """

    def __init__(self, pen: Pen, case: Callable[[str], Case | None]) -> None:
        self._pen, self._case = pen, case
        self._touched: dict[str, None] = {}
        self._written: dict[str, tuple[str, int]] = {}  # state and time, by request
        self._said: list[Packet] = []

    def touch(self, request_id: str) -> None:
        """Something has changed about a request."""
        self._touched[request_id] = None

    def put(self, name: str, message: Message) -> None:
        """A letter to everybody that stands until the next about the same thing."""
        self._said.append(Packet(STANDING, _ONE, [(name.encode(), message.value, message.headers)]))

    def write(self, now_ms: int) -> list[Packet]:
        """What is to be written now."""
        for name in list(self._touched):
            case = self._case(name)
            if case is None:
                continue  # it was refused
            state, when_ms = self._written.get(name, ("", 0))
            if case.state.value == state and not case.state.ended and now_ms - when_ms < _EVERY_MS:
                continue
            del self._touched[name]
            self._written[name] = case.state.value, now_ms
            votes = tuple(vote for _, vote in sorted(case.votes.items()))
            stands = RequestStands(case.request, case.status(now_ms), votes, tuple(case.approvals))
            plain = msgspec.to_builtins(stands, str_keys=True)
            body = msgspec.json.encode(plain, order="sorted").decode()
            self.put(f"request/{name}", self._pen.write(STANDING, name, ABOUT, body))
        for name in [name for name in self._written if self._case(name) is None]:
            del self._written[name]
            self._said.append(Packet(STANDING, _ONE, [(f"request/{name}".encode(), None, [])]))
        self._touched = {name: None for name in self._touched if self._case(name) is not None}
        said, self._said = self._said, []
        return said
