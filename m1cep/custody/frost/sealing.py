"""For whose eyes: scalars sealed from one participant to another (NaCl box: X25519, XSalsa20-Poly1305).

A box key is made for one ceremony and dropped with it: what a log keeps of the ceremony cannot be opened later, not
even with every other key of every signer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from m1cep.custody.frost.errors import AuthenticityError, EncodingError
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.suite import draw, sized

if TYPE_CHECKING:
    from m1cep.custody.frost.suite import Random, Suite

BOX_KEY_SIZE = 32
SEALED_SIZE = Box.NONCE_SIZE + 16 + 32  # nonce, authenticator, scalar


class BoxKey(Hidden):
    """A participant's key for one ceremony.

    Attributes:
        public: 32 bytes, to be announced in a signed envelope.
    """

    __slots__ = ("_private", "public")

    def __init__(self, random: Random) -> None:
        self._private = PrivateKey(draw(random, BOX_KEY_SIZE))
        self.public = bytes(self._private.public_key)

    def seal(self, receiver: bytes, secret: Secret, random: Random) -> bytes:
        """A scalar that only the receiver, by its public key, can open.

        Raises:
            EncodingError: that public key cannot be one.
        """
        nonce = draw(random, Box.NONCE_SIZE)
        return bytes(self._box(receiver).encrypt(secret.reveal(), nonce))

    def open(self, suite: Suite, sender: bytes, data: bytes) -> Secret:
        """The scalar that the sender, by its public key, sealed for us.

        Raises:
            AuthenticityError: it is not from that sender, not for us, or was changed.
            EncodingError: it has the wrong size, or no scalar is in it.
        """
        sized("a sealed scalar", data, SEALED_SIZE)
        try:
            opened = self._box(sender).decrypt(data)
        except CryptoError:
            raise AuthenticityError(
                "a sealed scalar cannot be opened: it is not for this key, or was changed"
            ) from None
        return Secret(suite.deserialize_scalar(opened))

    def _box(self, other: bytes) -> Box:
        try:
            return Box(self._private, PublicKey(sized("a box key", other, BOX_KEY_SIZE)))
        except CryptoError:
            raise EncodingError("a box key must not be a point of small order") from None
