"""Compares what was sent with what was found. Pure."""

from otelgres.collector.tools.demo.findings import Findings
from otelgres.collector.tools.demo.system import SERVICES, SentItems


def answered(sent: SentItems) -> dict[str, int]:
    """The number of answered orders by outcome."""
    return {outcome: count for outcome, count in sent.answers.items() if outcome != "no answer"}


def problem(sent: SentItems, findings: Findings) -> str | None:
    """The problem as one sentence; None if every record was found once and the metrics agree with the customers."""
    if not findings.records:
        return f"none of the {sent.records:,} records sent was found in SQL."
    by_service = {row["service_name"]: row for row in findings.found}
    wrong = []
    for what, counts in (("spans", sent.spans), ("logs", sent.logs)):
        for name in SERVICES:
            found = by_service.get(name, {}).get(what, 0)
            if found != counts[name]:
                wrong.append(f"{name} sent {counts[name]:,} {what}, {found:,} were found")
    counted = {row["outcome"]: row["orders"] for row in findings.orders}
    if answered(sent) != counted:
        wrong.append(f"customers got the answers {answered(sent)}, the metric shop.orders has {counted}")
    if not wrong:
        return None
    late = "" if sent.flushed else " (the sample system was stopped before everything was sent)"
    return f"{'; '.join(wrong)}{late}."
