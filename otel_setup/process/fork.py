"""Resets telemetry in a forked child, so that it repeats none of the parent's records.

The SDK itself clears the child's queues, restarts its threads and, from 1.44 on, renews ``service.instance.id``. The
rest is done here.
"""

from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk.resource import renewed_identity
from otel_setup.sdk_adapter import empty_metrics, update_resource


def adopt(telemetry: Telemetry) -> None:
    """In the child: gives ``telemetry`` its own identity, connections, spool file and totals."""
    telemetry.forked()
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
    identity = renewed_identity(telemetry.tracer_provider.resource) if telemetry.tracer_provider is not None else {}
    for provider in (telemetry.tracer_provider, telemetry.meter_provider, telemetry.logger_provider):
        if provider is not None:
            update_resource(provider, identity)
    if telemetry.meter_provider is not None:
        empty_metrics(telemetry.meter_provider)
