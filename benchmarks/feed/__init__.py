"""The change feed's writers, on a model of DynamoDB with its latencies."""
