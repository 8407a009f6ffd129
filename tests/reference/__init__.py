"""A slow, obvious matcher for SQL:2016 MATCH_RECOGNIZE over a stored partition, to hold the engine against.

It shares nothing with m1cep: own expressions, own patterns, own loop over matches. Each tree prints itself as SQL (which the
engine is given) and is evaluated by backtracking (which says what the engine should have found).

    expressions.py   conditions and measures: SQL text, and their value over the rows mapped so far
    patterns.py      row patterns: SQL text, and all ways to match from a row, most preferred first
    query.py         MATCH_RECOGNIZE as a whole: matches, skipping, output rows
    strategies.py    random queries and random rows (hypothesis)
    compare.py       both over the same rows, and a message one can read when they differ
"""
