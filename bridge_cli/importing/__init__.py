"""`bridge import`: fills a table with a user's own records."""
