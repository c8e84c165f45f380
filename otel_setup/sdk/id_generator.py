"""Trace and span ids for the SDK: random, except that the root span of a flow has the flow's id as trace id."""

from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_setup.api.ids import entropy, is_random, next_flow_id


class FlowIdGenerator(IdGenerator):
    """Reads the flow id from ``next_flow_id``. The SDK requests a trace id only for a root span."""

    def generate_span_id(self) -> int:
        """64 random bits, not all zero."""
        return entropy.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """The flow id if set, else 128 random bits, not all zero."""
        flow_id = next_flow_id.get()
        return flow_id.int if flow_id else entropy.getrandbits(128) or 1

    def is_trace_id_random(self) -> bool:
        """Whether the last 56 bits of the trace id are random."""
        flow_id = next_flow_id.get()
        return is_random(flow_id) if flow_id else True
