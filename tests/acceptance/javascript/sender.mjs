// Sends spans, log records and metrics of every kind with the JavaScript SDK, and prints what SQL must show for them.
// Usage: node sender.mjs json|proto URL

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, ValueType, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [encoding, url] = process.argv.slice(2);
const kind = encoding === "json" ? "http" : "proto";
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${kind}`);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${kind}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${kind}`);

const scope = `browser ${encoding}`;
const resource = resourceFromAttributes({ "service.name": "shop-window", replicas: 3 });
const values = {
  text: 'GET ☃ 😀 \\ " \n',
  empty: "",
  yes: true,
  int: -42,
  large: Number.MAX_SAFE_INTEGER,
  double: 0.1,
  texts: ["a", "b"],
  ints: [1, 2],
  bools: [true, false],
  doubles: [1.5, -2.25],
};
const second = Math.floor(Date.now() / 1000) - 30;
const at = (nanos) => [second, nanos];
const nanos = (n) => String(BigInt(second) * 1000000000n + BigInt(n));

// Spans.
const tracing = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
});
const tracer = tracing.getTracer(scope, "1.2.3");
const root = tracer.startSpan("GET /cart", { kind: SpanKind.SERVER, attributes: values, startTime: at(123456789) });
const remote = { traceId: "f".repeat(32), spanId: "e".repeat(16), traceFlags: TraceFlags.SAMPLED, isRemote: true };
const inside = trace.setSpan(ROOT_CONTEXT, root);
const child = tracer.startSpan(
  "fetch",
  { kind: SpanKind.CLIENT, links: [{ context: remote, attributes: { why: "retry" } }], startTime: at(123456790) },
  inside,
);
child.addEvent("tried", { attempt: 1 }, at(200000001));
child.setStatus({ code: SpanStatusCode.ERROR, message: "timed out" });
child.end(at(300000003));
root.setStatus({ code: SpanStatusCode.OK });
root.end(at(999999999));
await tracing.shutdown();

// Log records.
const bodies = ["plain text", 7, 2.5, true, { message: "structured", list: [1, "two", { deep: 0.5 }] }, ["a", 1]];
const logging = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${url}/v1/logs` }) })],
});
const logger = logging.getLogger(scope, "0.9");
bodies.forEach((body, number) =>
  logger.emit({
    timestamp: at(1000 + number),
    observedTimestamp: at(2000 + number),
    severityNumber: SeverityNumber.WARN,
    severityText: "warning",
    eventName: number === 1 ? "cart.opened" : undefined,
    body,
    attributes: { ...values, number },
    context: inside,
  }),
);
await logging.shutdown();

// Metrics.
const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics` }),
  exportIntervalMillis: 2 ** 30,
  exportTimeoutMillis: 10000,
});
const metering = new MeterProvider({
  resource,
  readers: [reader],
  views: [
    { instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
    {
      instrumentName: "duration",
      aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: [0.5, 1] } },
    },
  ],
});
const meter = metering.getMeter(scope, "0.1");
meter.createCounter("requests", { unit: "{request}", valueType: ValueType.INT }).add(7, values);
meter.createUpDownCounter("in_use").add(-4.5);
meter
  .createObservableGauge("temperature", { unit: "Cel", description: "how warm it is" })
  .addCallback((result) => result.observe(21.5, { room: "a" }));
const duration = meter.createHistogram("duration", { unit: "s" });
const exponential = meter.createHistogram("exponential");
for (const value of [0.25, 0.5, 7]) duration.record(value);
for (const value of [0, 1, 2, 4, 1000]) exponential.record(value);
await metering.shutdown();

const ids = (span) => ({ traceId: span.spanContext().traceId, spanId: span.spanContext().spanId });

console.log(
  JSON.stringify({ scope, values, bodies, remote, root: ids(root), child: ids(child), second: nanos(0) }),
);
