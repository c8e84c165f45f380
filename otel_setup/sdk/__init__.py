"""Extensions of OpenTelemetry's SDK: resource, ids, logging bridge, processors, exporters, sanitizer."""
