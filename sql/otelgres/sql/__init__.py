"""The database as files: migrations, functions, views and named queries, and the few functions that read them."""
