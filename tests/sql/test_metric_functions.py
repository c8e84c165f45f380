"""Rates and quantiles from metric points, with exact values: beginnings anew, gaps, scales, both kinds of histogram."""

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sql.conftest import Ask
from tests.sql.rows import Connection

START = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SUM, HISTOGRAM, EXPONENTIAL, GAUGE = 7, 9, 10, 5
DELTA, CUMULATIVE = 1, 2
RATE = "SELECT * FROM otel.metric_rate(%s, %s, %s, %s::interval)"


def nano(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


class Metric:
    """A metric in the database, its series and their points."""

    def __init__(
        self, connection: Connection, kind: int, temporality: int | None, *, monotonic: bool | None = True
    ) -> None:
        self._connection = connection
        self._points = (
            "number_points"
            if kind in (SUM, GAUGE)
            else ("histogram_points" if kind == HISTOGRAM else "exponential_histogram_points")
        )
        connection.execute("SELECT _otel.make_partition(%s, %s)", [self._points, START])
        row = connection.execute(
            "INSERT INTO _otel.metrics (hash, name, description, unit, type, temporality, is_monotonic, metadata) "
            "VALUES (gen_random_uuid(), 'm', '', 's', %s, %s, %s, '{}') RETURNING id",
            [kind, temporality, monotonic],
        ).fetchone()
        assert row is not None
        self._metric = row[0]

    def series(self, service: str = "a", attributes: str = "{}") -> int:
        connection = self._connection
        resource = connection.execute(
            "INSERT INTO _otel.resources (hash, service_name, attributes, dropped_attributes_count, schema_url) "
            "VALUES (gen_random_uuid(), %s, '{}', 0, '') RETURNING id",
            [service],
        ).fetchone()
        assert resource is not None
        row = connection.execute(
            "INSERT INTO _otel.series (hash, metric_id, resource_id, scope_id, attributes) "
            "VALUES (gen_random_uuid(), %s, %s, 0, %s) RETURNING id",
            [self._metric, resource[0], attributes],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def point(self, series: int, seconds: float, since: float = -3600, **values: Any) -> None:
        time = START + timedelta(seconds=seconds)
        columns = ["time", "series_id", "time_unix_nano", "start_time_unix_nano", "flags", *values]
        places = ", ".join(["%s"] * len(columns))
        self._connection.execute(
            f"INSERT INTO _otel.{self._points} ({', '.join(columns)}) VALUES ({places})".encode(),
            [time, series, nano(time), nano(START + timedelta(seconds=since)), 0, *values.values()],
        )


def until(seconds: float) -> list[object]:
    return ["m", START, START + timedelta(seconds=seconds), "60 s"]


def test_a_sum_that_goes_on_and_one_that_begins_again(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, SUM, CUMULATIVE)
    first, second = metric.series(), metric.series("b", '{"k": "v"}')
    for seconds, value in ((-30, 100), (30, 160), (90, 280), (100, 290)):
        metric.point(first, seconds, value_int=value)
    metric.point(second, 10, since=5, value_double=6.0)  # a new process: 6 since its start
    metric.point(second, 70, since=5, value_double=4.0)  # fell without saying so
    metric.point(second, 80, since=75, value_double=7.0)  # began again, and is higher already
    found = [(row["time"], row["service_name"], row["increase"], row["rate"]) for row in ask(RATE, *until(120))]
    minute = timedelta(minutes=1)
    assert found == [
        (START, "a", 60, 1),
        (START, "b", 6, 0.1),
        (START + minute, "a", 130, pytest.approx(130 / 60)),
        (START + minute, "b", 11, pytest.approx(11 / 60)),
    ]
    picked = ask("SELECT * FROM otel.metric_rate(%s, %s, %s, %s::interval, 'b', '{\"k\": \"v\"}')", *until(120))
    assert [row["increase"] for row in picked] == [6, 11]


def test_the_first_point_of_an_old_series_says_nothing_of_the_time_before(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, SUM, CUMULATIVE)
    metric.point(metric.series(), 30, value_int=1_000_000)
    assert ask(RATE, *until(60)) == []


def test_deltas_are_added_and_gauges_have_no_rate(connection: Connection, ask: Ask) -> None:
    delta = Metric(connection, SUM, DELTA)
    series = delta.series()
    for seconds in (-5, 5, 20, 59):
        delta.point(series, seconds, value_int=3)
    gauge = Metric(connection, GAUGE, None, monotonic=None)
    gauge.point(gauge.series(), 5, value_int=99)
    assert [row["increase"] for row in ask(RATE, *until(60))] == [9]


def test_optional_names_may_be_missing(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, SUM, CUMULATIVE, monotonic=False)
    series = metric.series()
    for seconds, value in ((-1, 10), (10, 4)):
        metric.point(series, seconds, value_int=value)
    assert [row["increase"] for row in ask(RATE, *until(60))] == [-6]


def explicit(counts: Sequence[int]) -> dict[str, Any]:
    return {"count": sum(counts), "bucket_counts": list(counts), "explicit_bounds": [10.0, 20.0]}


def test_buckets_of_explicit_histograms(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, HISTOGRAM, CUMULATIVE, monotonic=None)
    series, other = metric.series(), metric.series("b")
    metric.point(series, -10, **explicit([5, 5, 5]))
    metric.point(series, 10, **explicit([5, 9, 6]))  # 0, 4, 1
    metric.point(series, 20, since=15, **explicit([1, 0, 0]))  # began again: 1, 0, 0
    metric.point(other, 30, since=1, **explicit([0, 2, 0]))  # began in this time: 0, 2, 0
    found = ask("SELECT * FROM otel.histogram_buckets(%s, %s, %s, %s::interval)", *until(60))
    assert [(row["lower"], row["upper"], row["count"]) for row in found] == [
        (-math.inf, 10, 1),
        (10, 20, 6),
        (20, math.inf, 1),
    ]
    quantiles = ask("SELECT * FROM otel.histogram_quantiles(%s, %s, %s, %s::interval, '{0.5, 1}')", *until(60))
    # Half of 8 values: 1 below 10, and 3 of the 6 up to 20.
    assert [(row["quantile"], row["value"], row["count"]) for row in quantiles] == [(0.5, 15, 8), (1, 20, 8)]
    assert [row["increase"] for row in ask(RATE, *until(60))] == [6, 2]


def test_quantiles_of_exponential_histograms_are_near_the_truth(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, EXPONENTIAL, CUMULATIVE, monotonic=None)
    series = metric.series()
    rng = random.Random(7)
    earlier = [rng.lognormvariate(2, 1) for _ in range(500)]
    values = [rng.lognormvariate(2, 1) for _ in range(2000)]
    # The scale falls between the two points, as an SDK's does when the range grows.
    metric.point(series, -10, **exponential(earlier, scale=4))
    metric.point(series, 10, **exponential(earlier + values, scale=3))
    found = ask("SELECT * FROM otel.histogram_quantiles(%s, %s, %s, %s::interval, '{0.5, 0.99}')", *until(60))
    values.sort()
    for row, exact in zip(found, (values[1000], values[1980]), strict=True):
        assert row["count"] == 2000
        assert row["value"] == pytest.approx(exact, rel=0.1)


def test_zero_and_negative_values_have_their_place(connection: Connection, ask: Ask) -> None:
    metric = Metric(connection, EXPONENTIAL, DELTA, monotonic=None)
    metric.point(
        metric.series(),
        10,
        since=0,
        **exponential([3.0], scale=0) | {"zero_count": 2, "count": 4, "negative_offset": 1, "negative_counts": [1]},
    )
    found = ask("SELECT * FROM otel.histogram_buckets(%s, %s, %s, %s::interval)", *until(60))
    assert [(row["lower"], row["upper"], row["count"]) for row in found] == [(-4, -2, 1), (0, 0, 2), (2, 4, 1)]


def exponential(values: Sequence[float], scale: int) -> dict[str, Any]:
    places = [math.ceil(math.log2(value) * 2**scale) - 1 for value in values]
    counts = [places.count(place) for place in range(min(places), max(places) + 1)]
    return {
        "count": len(values),
        "scale": scale,
        "zero_count": 0,
        "zero_threshold": 0.0,
        "positive_offset": min(places),
        "positive_counts": counts,
    }
