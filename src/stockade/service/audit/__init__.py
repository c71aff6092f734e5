"""The audit of an application: rules that hold for every resource, and the rules of its own.

A rule is a function that reads on one connection and finds where it is broken; `rule` is the decorator that names it.
Neighbours: `stockade audit --app` and the lab run `audit`; the shop has an audit of its own with screens.
"""

from stockade.service.audit.general import audit, rules_of
from stockade.service.audit.rule_types import Finding, Rule, Scope, Violation, rule

__all__ = ["Finding", "Rule", "Scope", "Violation", "audit", "rule", "rules_of"]
