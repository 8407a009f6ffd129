"""Why a rule did not fire: what it did with the events of a key, which attempts came near, and what was missing.

    inquiry = Inquiry(rule, key={"account": "a1"})
    inquiry.push("orders", events)
    answer = inquiry.finish()

Values come from code generated of the rule's own expressions, so they are those with which the rule computes.

questions, wording   conditions as questions and answers, in SQL and in words
asking, probes       the code that answers them
attempts             row patterns, walked slowly
patterns, rows,      what came near, by form of rule
pairs
inquiry, report      events in; the answer
"""

from m1cep.whynot.inquiry import Inquiry
from m1cep.whynot.report import WhyNot

__all__ = ["Inquiry", "WhyNot"]
