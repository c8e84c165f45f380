"""What other people call their work cannot drive the terminal of whoever looks at a flow."""

import uuid
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from otelgres.collector.inspect.waterfall.draw import draw
from otelgres.collector.inspect.waterfall.read import FlowPicture

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"


def test_what_is_open_is_cleaned_whole() -> None:
    row: dict[str, Any] = dict.fromkeys(("name", "type", "service_name", "reason"), HOSTILE)
    row |= {"span_id": "00", "start_time": datetime.now(UTC), "state": "abandoned"}
    console = Console(width=200, color_system=None)
    with console.capture() as shown:
        draw(console, FlowPicture(uuid.uuid4(), None, [], [], [row], None))
    assert "has not ended" in shown.get()
    assert not set(HOSTILE) & set(shown.get()) - set("]0;title[2J31m")
