"""The change feed in DynamoDB, in shards: how it is read and how it is written."""
