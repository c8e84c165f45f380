"""What is plugged into OpenTelemetry's SDK: resource, ids, logging bridge, processors, exporters, sanitizer."""
