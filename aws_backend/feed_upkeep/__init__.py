"""What an import and a renewal do to all shards of a feed: hold their counters, move records."""
