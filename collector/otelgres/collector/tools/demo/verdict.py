"""Whether everything that was sent was found. Pure; refuses to know how either was counted."""

from otelgres.collector.tools.demo.findings import Findings
from otelgres.collector.tools.demo.system import SERVICES, SentItems


def answered(sent: SentItems) -> dict[str, int]:
    """The orders that got an answer, by outcome."""
    return {outcome: count for outcome, count in sent.answers.items() if outcome != "no answer"}


def problem(sent: SentItems, findings: Findings) -> str | None:
    """What is wrong, in a sentence; None if every record was found once and the metrics agree with the customers."""
    if not findings.records:
        return f"nothing of the {sent.records:,} records that were sent was found in SQL."
    by_service = {row["service_name"]: row for row in findings.found}
    wrong = []
    for what, counts in (("spans", sent.spans), ("logs", sent.logs)):
        for name in SERVICES:
            found = by_service.get(name, {}).get(what, 0)
            if found != counts[name]:
                wrong.append(f"{name} sent {counts[name]:,} {what}, {found:,} were found")
    counted = {row["outcome"]: row["orders"] for row in findings.orders}
    if answered(sent) != counted:
        wrong.append(f"customers got the answers {answered(sent)}, the metric shop.orders says {counted}")
    if not wrong:
        return None
    late = "" if sent.flushed else " (the sample system had to end before everything was sent)"
    return f"{'; '.join(wrong)}{late}."
