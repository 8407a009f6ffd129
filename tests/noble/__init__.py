"""@noble/curves on Node: another implementation of FROST, by other people, to compare with."""
