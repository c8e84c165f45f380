"""The benchmarks of `otelgres bench`. What is measured runs in a separate process, except for replay."""
