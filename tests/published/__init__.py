"""The examples of MATCH_RECOGNIZE that other products publish, retyped from the pages named beside them.

Dates are event times; where a product spells something in its own way, what we write instead is said at the example.
"""
