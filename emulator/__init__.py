"""The local stack: Entra ID, the Functions host and AWS, on loopback. Development only."""
