"""Tools for developers and operators: benchmarks, chaos tests, the demo, the reference pages."""
