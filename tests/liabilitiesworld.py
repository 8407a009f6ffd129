"""A platform that owes, for tests: balances to documents, honest ones and others."""

import json
from functools import cached_property

from nacl.signing import SigningKey

from m1cep.ledger.liabilities import Secret, Signer, Tree, customer_proof, make_sheet, signed_document, statement_of

EPOCH_MS = 1_790_000_000_000


def ed25519(seed=b"k" * 32):
    key = SigningKey(seed)
    return Signer("ed25519", bytes(key.verify_key), lambda message: key.sign(message).signature)


class Platform:
    """What is published about balances ``{asset: {user: units}}``, signed by an Ed25519 key."""

    def __init__(self, balances, *, epoch_ms=EPOCH_MS, secret=b"s" * 32, previous=None, signer=None):
        self.secret, self.signer = Secret(secret), signer or ed25519()
        self.sheets = {
            asset: make_sheet(self.secret, epoch_ms, asset, owed.items()) for asset, owed in balances.items()
        }
        self.trees = {asset: Tree(sheet) for asset, sheet in self.sheets.items()}
        self.statement = statement_of(epoch_ms, self.trees, dict.fromkeys(balances, 8), previous)

    @cached_property
    def signed(self):
        return signed_document(self.statement, self.signer)

    @property
    def key(self):
        return self.signer.public_key.hex()

    def proof(self, user):
        return through_json(customer_proof(self.secret, user, self.signed, self.sheets, self.trees))

    def sign_again(self, document):
        """As a platform that cheats would: after changes to the statement."""
        document["signed"] = through_json(signed_document(document["signed"]["statement"], self.signer))
        return document


def through_json(document):
    """What arrives at a customer."""
    return json.loads(json.dumps(document))
