"""Processors change a batch before it is queued: redaction and the tenant attribute."""
