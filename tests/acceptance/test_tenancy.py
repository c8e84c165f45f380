"""Tokens of tenants: what they send belongs to their tenant, over every transport and encoding."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.embedded import Cluster
from otelgres.collector.outcomes import Rejected
from otelgres.collector.processors.tenant import TenantProcessor, with_tenant
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_json import request_to_json
from otelgres.exporters.outcome import Invalid
from otelgres.exporters.slices import SLICE_BYTES
from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, rows, run_otelgres
from tests.otlp_raw import TracesRequest
from tests.waiting import until

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def request(tenant: object = None) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "s"
    if isinstance(tenant, str):
        group.resource.attributes.add(key="tenant.id").value.string_value = tenant
    elif isinstance(tenant, int):
        group.resource.attributes.add(key="tenant.id").value.int_value = tenant
    now = time.time_ns()
    group.scope_spans.add().spans.add(
        trace_id=os.urandom(16), span_id=os.urandom(8), name="n", start_time_unix_nano=now, end_time_unix_nano=now
    )
    return message


class Listeners:
    def __init__(self, ready: dict[str, Any], dsn: str, token: str) -> None:
        self.ready, self.dsn, self.token = ready, dsn, token

    def by_grpc(self, payload: bytes) -> bool:
        with grpc.insecure_channel(self.ready["grpc"]) as channel:
            call = channel.unary_unary(METHOD)
            try:
                call(payload, metadata=[("authorization", f"Bearer {self.token}")], timeout=20)
            except grpc.RpcError as error:
                refusal = error
            else:
                return True
        assert refusal.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "belongs to tenant 'a'" in refusal.details()
        return False

    def by_http(self, body: bytes | str, kind: str) -> bool:
        answer = httpx.post(
            f"{self.ready['http']}/v1/traces",
            content=body,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        if answer.status_code == httpx.codes.OK:
            return True
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert b"belongs to tenant 'a'" in answer.content
        return False

    def by_protobuf(self, payload: bytes) -> bool:
        return self.by_http(payload, "application/x-protobuf")

    def by_json(self, payload: bytes) -> bool:
        return self.by_http(request_to_json(Signal.TRACES, payload), "application/json")


@pytest.fixture(scope="module")
def listeners(cluster: Cluster, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    folder: Path = tmp_path_factory.mktemp("tenancy")
    tokens = str(folder / "tokens.yaml")
    made = run_otelgres(
        "token", "new", "--name", "x", "--scope", "ingest", "--tenant", "a", OTELGRES_TOKENS_FILE=tokens
    )
    token = next(word for word in made.stdout.split() if word.startswith("otg_"))
    with (
        postgres.new_database(cluster, migrated) as dsn,
        OtelgresProcess(
            *("serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            OTELGRES_DSN=dsn,
            OTELGRES_SPOOL=str(folder / "spool"),
            OTELGRES_TOKENS_FILE=tokens,
        ) as process,
    ):
        yield Listeners(process.ready(), dsn, token)
        assert process.stop() == 0


@pytest.mark.parametrize("way", ["by_grpc", "by_protobuf", "by_json"])
def test_what_a_tenants_token_sends_is_that_tenants(listeners: Listeners, way: str) -> None:
    send: Callable[[bytes], bool] = getattr(listeners, way)
    unmarked, named, foreign = request(), request("a"), request("b")
    assert send(unmarked.SerializeToString())
    assert send(unmarked.SerializeToString()), "and again"
    assert send(named.SerializeToString())
    assert not send(foreign.SerializeToString())
    assert not send(request(7).SerializeToString())

    def tenants(message: ExportTraceServiceRequest) -> list[Any]:
        flow = message.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
        found = rows(
            listeners.dsn, "SELECT resource_attributes ->> 'tenant.id' AS t FROM otel.spans WHERE flow_id = %s", flow
        )
        return [row["t"] for row in found]

    assert (tenants(unmarked), tenants(named), tenants(foreign)) == (["a"], ["a"], [])

    losses = "SELECT tenant FROM otel.losses WHERE reason = 'tenant'"
    assert until(lambda: rows(listeners.dsn, losses), "the loss")[0] == {"tenant": "a"}, "whose the loss was"


def test_the_mark_comes_first_and_once() -> None:
    mine = request()
    attributes = mine.resource_spans[0].resource.attributes
    for number in range(3000):
        attributes.add(key=f"x{number}").value.int_value = number
    for _ in range(2):
        attributes.add(key="tenant.id").value.string_value = "t"
    marked = ExportTraceServiceRequest.FromString(
        with_tenant(Batch(Signal.TRACES, mine.SerializeToString()), "t").payload
    )
    keys = [one.key for one in marked.resource_spans[0].resource.attributes]
    assert keys == ["tenant.id", "service.name", *(f"x{number}" for number in range(3000))]


def test_text_that_is_not_utf8_is_stored_repaired_as_without_a_tenant() -> None:
    mine = request()
    mine.resource_spans[0].scope_spans[0].spans.add(name="N\0N")
    payload = mine.SerializeToString().replace(b"N\0N", b"N\xffN")
    assert b"N\xffN" in with_tenant(Batch(Signal.TRACES, payload), "t").payload


@pytest.mark.parametrize(
    ("signal", "message", "groups"),
    [
        (Signal.METRICS, ExportMetricsServiceRequest, "resource_metrics"),
        (Signal.LOGS, ExportLogsServiceRequest, "resource_logs"),
    ],
    ids=["metrics", "logs"],
)
def test_every_signal_is_marked_and_unknown_fields_stay(signal: Signal, message: Any, groups: str) -> None:
    mine = message()
    getattr(mine, groups).add().schema_url = "x"
    getattr(mine, groups).add().resource.attributes.add(key="tenant.id").value.string_value = "t"
    unknown = b"\xfa\x3f\x03new"
    batch = with_tenant(Batch(signal, mine.SerializeToString() + unknown), "t")
    assert isinstance(batch, Batch)
    assert batch == with_tenant(Batch(signal, mine.SerializeToString() + unknown), "t")
    assert unknown in batch.payload
    found = getattr(message.FromString(batch.payload), groups)
    assert [[(one.key, one.value.string_value) for one in group.resource.attributes] for group in found] == [
        [("tenant.id", "t")]
    ] * 2
    with pytest.raises(Rejected) as caught:
        with_tenant(Batch(signal, b"\xff"), "t")
    assert isinstance(caught.value.outcome, Invalid)


def test_what_is_not_utf8_is_marked_and_kept() -> None:
    mine = TracesRequest()
    group = mine.resource_spans.add(schema_url=b"\xff")
    group.resource.attributes.add(key=b"tenant.id\xff").value.string_value = b"b\xff"
    group.scope_spans.add().spans.add(name=b"n\xff")
    found = TracesRequest.FromString(with_tenant(Batch(Signal.TRACES, mine.SerializeToString()), "t").payload)
    assert found.resource_spans[0].resource.attributes.pop(0).value.string_value == b"t"
    assert found == mine
    group.resource.attributes.add(key=b"tenant.id").value.string_value = b"t\xff"
    with pytest.raises(Rejected):
        with_tenant(Batch(Signal.TRACES, mine.SerializeToString()), "t")


def test_nothing_that_cannot_be_cut_goes_on_without_a_mark() -> None:
    payload = b"\x0a\x7f" * SLICE_BYTES
    with pytest.raises(Rejected) as caught:
        asyncio.run(TenantProcessor().process(Batch(Signal.TRACES, payload), "t"))
    assert isinstance(caught.value.outcome, Invalid)
