"""The soak: load for a chosen time with faults on purpose, and whether every alert came all the same."""
