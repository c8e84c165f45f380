"""What Grafana is given: dashboards, alert rules and their queries, run as Grafana would run them."""
