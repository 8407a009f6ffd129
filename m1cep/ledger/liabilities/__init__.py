"""What is owed to customers, provable to each of them and in total, without showing who they are.

The tree is Maxwell's with both children's sums in each node's hash (Hu, Zhang, Guo 2018, eprint 2018/1139: with their sum
alone the binding breaks), a salted commitment in place of the customer's name, and each balance in a few pieces.
``verify_balance`` is the file that customers download: what it hashes is what is hashed here.
"""

from m1cep.ledger.liabilities.chunks import MOST_AMOUNT, Secret, Sheet, make_sheet
from m1cep.ledger.liabilities.proofs import (
    Holding,
    Signer,
    customer_proof,
    reserves_document,
    signed_document,
    statement_of,
)
from m1cep.ledger.liabilities.tree import Tree

__all__ = [
    "MOST_AMOUNT",
    "Holding",
    "Secret",
    "Sheet",
    "Signer",
    "Tree",
    "customer_proof",
    "make_sheet",
    "reserves_document",
    "signed_document",
    "statement_of",
]
