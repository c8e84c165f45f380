"""Prepares for a fork, and resets telemetry in the child, so that it repeats none of the parent's records.

The SDK itself clears the child's queues, restarts its threads and renews ``service.instance.id``. The rest is done here
with private attributes of the SDK, whose versions are pinned.
"""

import threading
from typing import Any

from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.sdk.resources import Resource

from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk.resource import process_identity


def prepare(telemetry: Telemetry) -> None:
    """Before a fork: waits briefly for exports in progress, if the collector answers."""
    if telemetry.fork_barrier is not None:
        telemetry.fork_barrier.close(wait=not any(pipeline.failing for pipeline in telemetry.pipelines))


def resume(telemetry: Telemetry) -> None:
    """After a fork, in the parent."""
    if telemetry.fork_barrier is not None:
        telemetry.fork_barrier.reopen()


def adopt(telemetry: Telemetry) -> None:
    """In the child: gives ``telemetry`` its own identity, connections, spool file and totals."""
    if telemetry.fork_barrier is not None:
        telemetry.fork_barrier.reopen_in_child()
    if telemetry.counts is not None:
        telemetry.counts.forked()
    if telemetry.spool is not None:
        telemetry.spool.forked()
    if telemetry.liveness is not None:
        telemetry.liveness.forked()
    if telemetry.ended:
        return
    if telemetry.replayer is not None:
        telemetry.replayer.forked()
    for pipeline in telemetry.pipelines:
        pipeline.forked()
    identity = Resource(process_identity())
    for provider in (telemetry.tracer_provider, telemetry.meter_provider, telemetry.logger_provider):
        if provider is not None:
            provider._update_resource(identity)
    if telemetry.meter_provider is not None:
        _start_from_zero(telemetry.meter_provider)


def _start_from_zero(provider: Any) -> None:
    """Resets the totals: the parent's would be exported again under the child's instance id.

    Replaces the locks, which the parent's export thread may have held at the fork.
    """
    consumer = provider._measurement_consumer
    consumer._lock = threading.Lock()
    consumer._reader_storages = {
        reader: MetricReaderStorage(
            consumer._sdk_config, reader._instrument_class_temporality, reader._instrument_class_aggregation
        )
        for reader in consumer._reader_storages
    }
    for reader in consumer._reader_storages:
        reader._export_lock = threading.Lock()
