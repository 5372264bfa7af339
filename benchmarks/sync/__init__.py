"""The sync from a change feed into a store, against other ways to write one."""
