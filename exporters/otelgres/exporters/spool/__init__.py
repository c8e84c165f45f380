"""The spool: batches in files until they can be sent. Used by applications and by the receiver."""
