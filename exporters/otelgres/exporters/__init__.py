"""Where a batch of telemetry may go. Refuses to know who received it or who made it."""
