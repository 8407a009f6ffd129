"""Bitcoin: vaults are taproot outputs spent by their key (BIP 340, 341, 350)."""
