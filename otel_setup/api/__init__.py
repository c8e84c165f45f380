"""The calls of an application: flows, phases, checkpoints, events, propagation, and their parts."""
