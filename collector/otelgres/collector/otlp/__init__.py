"""OTLP over gRPC and HTTP: transports, limits, status mapping, and the one export path behind both."""
