"""`bridge sync`: the Function App's sync job, run and looked at by a person."""
