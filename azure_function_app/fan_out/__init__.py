"""The sync past one process: a plan, a queue, and a worker for each shard of the feed."""
