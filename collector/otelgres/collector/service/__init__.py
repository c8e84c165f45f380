"""One receiver as a process: settings, wiring, signals and workers. Builds and connects the other rooms."""
