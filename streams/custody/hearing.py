"""What letters to the coordinator say, if their senders can say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from m1cep.custody.requests import decode
from m1cep.custody.requests.messages import Approved, Cancel, Commitment, Share, Submit, Unable, Vote
from m1cep.errors import CustodyError
from streams.custody.roster import signer_name

if TYPE_CHECKING:
    from m1cep.custody.requests.messages import Message
    from streams.custody.mail import Letter

    PersonsWord: TypeAlias = Submit | Cancel | Approved
    SignersWord: TypeAlias = Vote | Commitment | Share | Unable


def word_of_person(letter: Letter) -> PersonsWord:
    """A letter about a request, of a person or service.

    Raises:
        CustodyError: it is about something else, is none of these, or speaks in another's name.
    """
    message = _message(letter)
    match message:
        case Submit():
            speaker = message.request.requester
        case Cancel():
            speaker = message.by
        case Approved():
            speaker = message.approval.approver
        case _:
            raise CustodyError(f"{letter.sender} is nobody from whom a {type(message).__name__} is expected")
    if speaker != letter.sender:
        raise CustodyError(f"{letter.sender} speaks in the name of {speaker}")
    return message


def word_of_signer(letter: Letter) -> SignersWord:
    """A letter about a request, of a signer.

    Raises:
        CustodyError: as for :func:`word_of_person`.
    """
    message = _message(letter)
    if not isinstance(message, Vote | Commitment | Share | Unable):
        raise CustodyError(f"{letter.sender} is nobody from whom a {type(message).__name__} is expected")
    if letter.sender != signer_name(message.signer):
        raise CustodyError(f"{letter.sender} speaks in the name of signer {message.signer}")
    return message


def _message(letter: Letter) -> Message:
    if letter.about != "request":
        raise CustodyError(f"a letter of {letter.sender} about {letter.about!r:.40}, which is not expected here")
    return decode(letter.body.encode())
