"""The columns of the public views that other people's queries are written against: their names and types stay."""

import pytest

from tests.sql.conftest import Ask

TIME, NUMBER, WHOLE, BIG, BOOLEAN = "timestamp with time zone", "double precision", "integer", "bigint", "boolean"

PROMISED = {
    "spans": {
        "text": "trace_id span_id parent_span_id service_name name kind status_code status_message scope_name "
        "scope_version trace_state",
        "uuid": "flow_id",
        TIME: "start_time end_time",
        BIG: "start_time_unix_nano end_time_unix_nano flags",
        NUMBER: "duration_ms",
        "jsonb": "attributes events links resource_attributes",
    },
    "logs": {
        TIME: "time observed_time",
        BIG: "time_unix_nano",
        WHOLE: "severity_number",
        "text": "severity_text body event_name trace_id span_id service_name scope_name",
        "jsonb": "body_value attributes resource_attributes",
        "uuid": "flow_id",
    },
    "metric_points": {
        TIME: "time start_time",
        BIG: "time_unix_nano value_int count zero_count",
        "text": "metric_name unit type temporality service_name",
        BOOLEAN: "is_monotonic",
        NUMBER: "value sum min max",
        "double precision[]": "explicit_bounds quantiles",
        "bigint[]": "bucket_counts positive_counts negative_counts",
        WHOLE: "scale positive_offset negative_offset",
        "jsonb": "exemplars attributes resource_attributes",
    },
    "flows": {
        "uuid": "flow_id",
        "text": "trace_id name status",
        TIME: "start_time end_time",
        NUMBER: "duration_ms",
        BIG: "span_count error_count",
        "text[]": "services checkpoint_path",
        BOOLEAN: "complete",
    },
    "phase_timing": {
        "uuid": "flow_id",
        "text": "phase service_name status",
        TIME: "start_time",
        NUMBER: "duration_ms self_ms wait_ms share",
    },
}


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_has_the_columns_that_were_promised(ask: Ask, view: str) -> None:
    there = {
        row["name"]: row["type"]
        for row in ask(
            "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0",
            f"otel.{view}",
        )
    }
    promised = {name: kind for kind, names in PROMISED[view].items() for name in names.split()}
    assert {name: there.get(name) for name in promised} == promised
