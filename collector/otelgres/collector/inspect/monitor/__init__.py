"""Everything at a glance, on one calm screen. Refuses to know SQL beyond the names of its queries."""
