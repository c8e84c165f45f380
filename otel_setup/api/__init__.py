"""The calls of an application: flows, phases, checkpoints, events, propagation, and what they are made of."""
