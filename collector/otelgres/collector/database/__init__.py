"""The database behind the receiver: schema and partition maintenance, and notifications of commits."""
