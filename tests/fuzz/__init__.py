"""Fuzzing: inputs that nobody would send, and what holds all the same. ``make fuzz`` runs it for a while."""
