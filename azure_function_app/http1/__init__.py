"""HTTP/1.1 over connections of our own, behind httpx's transport interface (docs/adr/0008)."""
