"""Commands for those who develop and run otelgres: benchmarks, chaos runs, the demo, the reference pages."""
