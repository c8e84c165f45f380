"""Trace and span ids for the SDK: random, except that a flow's root takes the flow's id.

Refuses to know what a flow is: it looks at one context variable, which is set around one ``start_span`` call.
"""

from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_setup.api.ids import entropy, is_random, next_flow_id


class FlowIdGenerator(IdGenerator):
    """The SDK asks for a trace id only when it starts a root, and then at once whether that id was random."""

    def generate_span_id(self) -> int:
        """64 random bits, not all zero."""
        return entropy.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """The pending flow id, else 128 random bits, not all zero."""
        flow_id = next_flow_id.get()
        return flow_id.int if flow_id else entropy.getrandbits(128) or 1

    def is_trace_id_random(self) -> bool:
        """Whether samplers may rely on the trace id's last 56 bits."""
        flow_id = next_flow_id.get()
        return is_random(flow_id) if flow_id else True
