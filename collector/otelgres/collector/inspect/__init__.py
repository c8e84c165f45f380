"""Reads the database and displays it: alerts, diagnosis, live views, reports, waterfalls, exports."""
