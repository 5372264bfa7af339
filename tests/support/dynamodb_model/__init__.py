"""DynamoDB as AWS describes it, in one process: transactions become visible item by item.

MiniStack applies a transaction in one step, so what a reader or another writer may see in between
is seen here. Sources, all by their section in AWS's developer guide unless said otherwise:

- "Isolation levels" and "Transaction conflict handling" (transaction-apis.html);
- "Distributed Transactions at Scale in Amazon DynamoDB" (Idziorek et al., USENIX ATC 2023): every
  item is prepared on its own, then every item is written on its own; reads do not wait for either;
- TransactWriteItems in the API reference: idempotency by `ClientRequestToken`;
- "Consumed capacity", "Write considerations" of local secondary indexes, "Burst and adaptive
  capacity" for the limits of a partition.

`client.ModelClient` takes the place of a boto3 client. What the model does not know it refuses.
"""
