"""What reads the database and shows it: alerts, diagnosis, live views, reports, waterfalls, exports."""
