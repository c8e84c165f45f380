"""The database schema as files: migrations, functions, views and named queries, and the code that applies them."""
