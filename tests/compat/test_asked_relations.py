"""What systems that move here ask of schema ``compat``: the relations with their columns, and queries of each kind.

They run unqualified, with ``compat`` on the search_path, as an application sends them that knows nothing of us.
"""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.sql.rows import Connection

EXPERIMENT = uuid.uuid5(uuid.NAMESPACE_URL, "experiment")

COLUMNS = {
    "log_events": """id timestamp execution_id level logger_name message module function_name line_number
        execution_phase terminal_id region_code error_details performance_metrics created_at""",
    "execution_summary": """execution_id start_time end_time duration_seconds demo_mode total_atms success
        failover_activated failure_type connection_status regional_records_processed terminal_details_processed
        error_count warning_count info_count performance_summary created_at""",
    "integration_events": """id flow_id timestamp event_type source_system checkpoint channel symbol pattern_name
        confidence user_count details latency_ms created_at""",
    "pattern_flow_analysis": """flow_id start_time end_time total_latency_ms symbol pattern_name confidence
        users_notified checkpoints_logged flow_path""",
}

QUERIES = {
    "the latest runs, in whole minutes": """
        SELECT start_time, execution_id, connection_status, success, failover_activated, error_count,
            terminal_details_processed, duration_seconds / 60 AS minutes
        FROM execution_summary ORDER BY start_time DESC LIMIT 10""",
    "a week's errors by phase": """
        SELECT execution_phase, count(*) AS errors, count(DISTINCT execution_id) AS runs, min(timestamp), max(timestamp)
        FROM log_events WHERE timestamp >= now() - interval '7 days' AND level = 'ERROR'
        GROUP BY execution_phase ORDER BY errors DESC""",
    "a month's trouble by terminal": """
        SELECT terminal_id, count(*) AS lines, count(DISTINCT execution_id) AS runs, string_agg(DISTINCT level, ', ')
        FROM log_events
        WHERE timestamp >= now() - interval '30 days' AND level IN ('WARNING', 'ERROR') AND terminal_id IS NOT NULL
        GROUP BY terminal_id ORDER BY lines DESC""",
    "an experiment's latest errors": """
        SELECT * FROM recent_experiment_errors WHERE experiment_name = 'of mine' LIMIT 10""",
    "an experiment's tree": f"SELECT * FROM get_progress_tree('{EXPERIMENT}'::uuid)",
    "an experiment's errors about a word": f"""
        SELECT * FROM get_experiment_logs(
            '{EXPERIMENT}'::uuid, p_level := 'ERROR', p_search := 'memory', p_limit := 50)""",
    "what runs now": "SELECT * FROM active_pipeline_monitoring",
    "a month is kept": "SELECT cleanup_old_logs(30)",
    "sizes": """
        SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname || '.' || tablename))
        FROM pg_tables WHERE tablename LIKE 'pipeline_%'
        ORDER BY pg_total_relation_size(schemaname || '.' || tablename) DESC""",
    "heartbeats": """
        SELECT details, source_system, timestamp FROM integration_events
        WHERE event_type = 'heartbeat' ORDER BY timestamp DESC LIMIT 10""",
    "flows of more than one checkpoint": """
        SELECT * FROM pattern_flow_analysis WHERE checkpoints_logged > 1 ORDER BY start_time DESC""",
    "subscriptions": """
        SELECT timestamp, channel, checkpoint FROM integration_events
        WHERE event_type = 'subscription_active' ORDER BY timestamp DESC""",
}


@pytest.fixture(scope="module")
def asked(cluster: Cluster, migrated: str) -> Iterator[Connection]:
    with postgres.new_database(cluster, migrated) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = compat, public")
        yield connection


@pytest.mark.parametrize("relation", COLUMNS)
def test_a_relation_has_its_columns(asked: Connection, relation: str) -> None:
    asked.execute(f"SELECT {', '.join(COLUMNS[relation].split())} FROM {relation} LIMIT 1".encode())


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_query_runs_as_it_is(asked: Connection, query: str) -> None:
    asked.execute(query.encode()).fetchall()
