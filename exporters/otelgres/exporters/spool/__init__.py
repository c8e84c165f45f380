"""Batches in files until they can be sent: one format, one reader, one bound, for applications and the receiver."""
