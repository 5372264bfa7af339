"""What every run of the sync is made of, whether it reads a whole feed or one shard of it."""
