"""Speed beside peers, both measured in one run; each script prints one table."""
