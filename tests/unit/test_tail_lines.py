"""Lines of ``otelgres tail``: service names are whole, numbers and status in plain words."""

from datetime import UTC, datetime
from typing import Any

from otelgres.collector.inspect.tail.lines import line

ROW: dict[str, Any] = {
    "time": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "service_name": "payment-gateway-adapter-europe-west",
    "duration_ms": 1.5, "name": "order", "status": "UNSET", "span_count": 1, "last_checkpoint": None, "flow_id": None,
}  # fmt: skip


def test_a_flow() -> None:
    text = line("flows", ROW).plain
    assert text.endswith(" payment-gateway-adapter-europe-west       1.5 ms  order  no error  1 span")
    short = line("flows", ROW | {"service_name": "shop", "status": "ERROR", "span_count": 1234}).plain
    assert short.endswith(" shop                 1.5 ms  order  error  1,234 spans")
