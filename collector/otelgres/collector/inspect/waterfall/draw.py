"""Draws a flow: bars on a time scale, logs below their span, and missing parts. Control characters are removed."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from rich.console import Console
from rich.text import Text

from otelgres.collector.inspect.waterfall.read import MOST, FlowPicture, Row, absent_parent
from otelgres.collector.system.terminal import clean
from otelgres.exporters.plural import counted

_ON_PATH: Final = "█"
_OFF_PATH: Final = "─"
_POINT: Final = "◆"
_WIDEST: Final = 160
_MILLISECONDS: Final = 9
_LEVELS: Final = (
    (21, "FATAL", "red"),
    (17, "ERROR", "red"),
    (13, "WARN", "yellow"),
    (9, "INFO", ""),
    (0, "DEBUG", "dim"),
)


def draw(out: Console, picture: FlowPicture) -> None:
    """Prints the flow."""
    width = min(out.width, _WIDEST)
    _head(out, picture)
    if picture.spans:
        _Waterfall(picture, width).print_to(out)
    elif picture.logs:
        for log in picture.logs:
            out.print(_log(log, 0, width))
    _missing(out, picture)
    if max(len(picture.spans), len(picture.logs)) >= MOST:
        out.print(Text(f"(the first {MOST} spans and logs; use SQL to see all)", "dim"))


def milliseconds(value: float | None) -> str:
    """A duration as short text: ``12.3``, ``4,210``, ``0.013``."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}" if value >= 1 else f"{value:.3f}"


def status_text(status: str) -> str:
    """A span's status code (UNSET, OK, ERROR or a number) in plain words."""
    return {"UNSET": "no error", "ERROR": "error"}.get(status, status)


def _head(out: Console, picture: FlowPicture) -> None:
    line = Text("flow ", "dim")
    line.append(str(picture.flow_id), "bold")
    summary = picture.summary
    if summary is None:
        line.append("  no span has ended")
        out.print(line, soft_wrap=True)
        return
    out.print(line, soft_wrap=True)
    state = "complete" if summary["complete"] else "not complete"
    failed = f", {summary['error_count']} failed" if summary["error_count"] else ""
    line = Text(clean(summary["name"] or "?"), "bold")
    line.append(f"  {state}, {status_text(summary['status'])}", "red" if summary["status"] == "ERROR" else "")
    line.append(
        f"  {milliseconds(summary['duration_ms'])} ms  {counted(summary['span_count'], 'span')}{failed}"
        f"  {summary['start_time'].astimezone():%Y-%m-%d %H:%M:%S}  {clean(', '.join(summary['services']))}"
    )
    out.print(line, soft_wrap=True)
    if summary["checkpoint_path"]:
        out.print(Text(clean("checkpoints: " + " → ".join(summary["checkpoint_path"]))), soft_wrap=True)
    out.print()


class _Waterfall:
    def __init__(self, picture: FlowPicture, width: int) -> None:
        self._spans = picture.spans
        self._absent = absent_parent(picture.flow_id)
        # Parents repeat the message of an exception that passes through them; it is shown at its origin only.
        self._passed = {(row["parent_span_id"], row["status_message"]) for row in picture.spans}
        self._width = width
        services = {clean(row["service_name"] or "") for row in self._spans}
        self._service = min(14, max(map(len, services)))
        self._bar = max(16, (width - self._service - 2 * _MILLISECONDS - 4) * 2 // 5)
        self._name = width - self._service - self._bar - 2 * _MILLISECONDS - 4
        self._total = max((row["offset_ms"] + row["duration_ms"] for row in self._spans), default=0.0) or 1.0
        known = {row["span_id"] for row in self._spans}
        self._logs: dict[str | None, list[Row]] = defaultdict(list)
        for log in picture.logs:
            self._logs[log["span_id"] if log["span_id"] in known else None].append(log)

    def print_to(self, out: Console) -> None:
        end = milliseconds(self._total)
        scale = "0" + f"{end} ms".rjust(self._bar - 1)
        out.print(Text(self._row("span", "service", scale, "ms", "self ms"), "dim"))
        for line in self._lines():
            out.print(line, no_wrap=True, overflow="crop")
        for log in self._logs[None]:
            out.print(_log(log, 0, self._width), no_wrap=True, overflow="crop")
        out.print(Text(f"{_ON_PATH} critical path   {_OFF_PATH} other span   {_POINT} checkpoint", "dim"))

    def _lines(self) -> Iterator[Text]:
        # Logs are printed in order of time: before child spans that began later.
        waiting: list[tuple[int, list[Row]]] = []
        for row in self._spans:
            while waiting and waiting[-1][0] >= row["depth"]:
                yield from self._flush(waiting.pop())
            for depth, logs in waiting:
                while logs and logs[0]["time"] < row["start_time"]:
                    yield _log(logs.pop(0), depth + 1, self._width)
            yield self._span(row)
            if row["status_message"] and (row["span_id"], row["status_message"]) not in self._passed:
                yield self._reason(row)
            waiting.append((row["depth"], list(self._logs.pop(row["span_id"], []))))
        while waiting:
            yield from self._flush(waiting.pop())

    def _flush(self, one: tuple[int, list[Row]]) -> Iterator[Text]:
        for log in one[1]:
            yield _log(log, one[0] + 1, self._width)

    def _span(self, row: Row) -> Text:
        point = row["type"] == "checkpoint"
        note = " (parent missing)" if row["orphan"] and row["parent_span_id"] != self._absent else ""
        label = "  " * min(row["depth"], 12) + ("! " if row["status"] == "ERROR" else "") + clean(row["name"]) + note
        text = self._row(
            label,
            clean(row["service_name"] or ""),
            self._bar_of(row, point=point),
            "" if point else milliseconds(row["duration_ms"]),
            "" if point else milliseconds(row["self_ms"]),
        )
        return Text(text, "red" if row["status"] == "ERROR" else "cyan" if point else "")

    def _reason(self, row: Row) -> Text:
        text = "  " * (min(row["depth"], 12) + 1) + clean(row["status_message"])
        return Text(_ended(text, self._width), "red" if row["status"] == "ERROR" else "")

    def _bar_of(self, row: Row, *, point: bool) -> str:
        start: int = min(self._bar - 1, int(row["offset_ms"] / self._total * self._bar))
        if point:
            return " " * start + _POINT
        length: int = max(1, min(self._bar - start, round(row["duration_ms"] / self._total * self._bar)))
        return " " * start + (_ON_PATH if row["critical_share"] else _OFF_PATH) * length

    def _row(self, name: str, service: str, bar: str, duration: str, self_time: str) -> str:
        return (
            f"{_cut(name, self._name)} {_cut(service, self._service)} {bar.ljust(self._bar)} "
            f"{duration.rjust(_MILLISECONDS)} {self_time.rjust(_MILLISECONDS - 1)}"
        )


def _log(log: Row, depth: int, width: int) -> Text:
    level, style = next((name, colour) for least, name, colour in _LEVELS if (log["severity_number"] or 0) >= least)
    text = (
        f"{'  ' * min(depth, 12)}{log['time'].astimezone():%H:%M:%S.%f}"[:-3] + f" {level} {clean(log['body'] or '')}"
    )
    return Text(_ended(text, width), style or "green")


def _missing(out: Console, picture: FlowPicture) -> None:
    for row in picture.open:
        age = _age(row["start_time"])
        what = (
            f"open: {clean(row['type'] or 'span')} {clean(row['name'] or '?')} in {clean(row['service_name'] or '?')}"
        )
        lost = row["state"] == "abandoned"
        why = f"{': abandoned' if lost else ''}{', ' if lost else ': '}{clean(row['reason'])}" if row["reason"] else ""
        style = "red" if lost else "yellow"
        out.print(Text(f"{what}, began {age} ago and has not ended{why}", style), soft_wrap=True)
    orphans = {row["parent_span_id"] for row in picture.spans if row["orphan"]} - {
        row["span_id"] for row in picture.open
    }
    orphans.discard(absent_parent(picture.flow_id))
    if orphans:
        out.print(Text(f"missing: {counted(len(orphans), 'parent span')} not received", "yellow"), soft_wrap=True)
    if picture.missing is not None:
        expected = ", ".join(map(clean, picture.missing["missing"] or []))
        cause = picture.missing["likely_cause"]
        line = f"missing checkpoints: {expected}" + (f" ({clean(cause)})" if cause else "")
        out.print(Text(line, "yellow"), soft_wrap=True)


def _age(start: datetime) -> str:
    return str(timedelta(seconds=int((datetime.now(start.tzinfo) - start).total_seconds())))


def _cut(text: str, width: int) -> str:
    return _ended(text, width).ljust(width)


def _ended(text: str, width: int) -> str:
    return text[: width - 1] + "…" if len(text) > width else text
