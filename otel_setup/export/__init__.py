"""Sends encoded batches to the collector, the database or the spool: pipeline, connection, breaker, replayer."""
