"""What changes a batch between its arrival and the queue: redaction and the tenant mark."""
