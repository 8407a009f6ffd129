"""What may be released: a file that says it, facts that every signer gathers, and the decision. No clock, no I/O.

spec        what a policy says
reader      YAML, read strictly
conditions  what a rule can ask
parse       a file to a policy
events      what facts are made of
records     records of the other topics as such events
facts       accounts and vaults as a signer knows them
decide      guards, then the first rule that matches
approvals   what people sign: requests, changes of the policy
closings    what people sign: that an alert is dealt with
"""

from m1cep.custody.policy.approvals import Approval, ChangeApproval, change_policy, settle
from m1cep.custody.policy.decide import decide
from m1cep.custody.policy.facts import Facts
from m1cep.custody.policy.parse import parse_policy
from m1cep.custody.policy.spec import Decision, Policy, Verdict

__all__ = [
    "Approval",
    "ChangeApproval",
    "Decision",
    "Facts",
    "Policy",
    "Verdict",
    "change_policy",
    "decide",
    "parse_policy",
    "settle",
]
