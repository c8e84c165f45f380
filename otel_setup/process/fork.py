"""What a forked child changes in the SDK's providers, so that it speaks for itself and repeats nothing of its parent.

The SDK clears the child's queues, restarts its threads and, from 1.44 on, renews ``service.instance.id``. The rest
is here. When it is called, ``hooks`` decides.
"""

from otel_setup.process.shutdown import Telemetry
from otel_setup.sdk.resource import renewed_identity
from otel_setup.sdk_adapter import empty_metrics, update_resource


def prepare(telemetry: Telemetry) -> None:
    """Before a fork: lets exports under way finish, where the collector answers and the wait is short."""
    if telemetry.gate is not None:
        telemetry.gate.close(wait=not any(pipeline.failing for pipeline in telemetry.pipelines))


def resume(telemetry: Telemetry) -> None:
    """After a fork, in the parent."""
    if telemetry.gate is not None:
        telemetry.gate.reopen()


def adopt(telemetry: Telemetry) -> None:
    """Makes ``telemetry``, inherited by fork, this process's own: identity, connections, spool file, totals."""
    if telemetry.gate is not None:
        telemetry.gate.reopen_in_child()
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
