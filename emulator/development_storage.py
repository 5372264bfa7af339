"""The account that Azure's storage emulators have in common, and that opens nothing else."""

from typing import Final

DEVELOPMENT_ACCOUNT: Final = "devstoreaccount1"
# The same on every machine, published in Azurite's README, good for nothing else.
DEVELOPMENT_ACCOUNT_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
DEVELOPMENT_QUEUE_URL: Final = f"http://127.0.0.1:10001/{DEVELOPMENT_ACCOUNT}"
"""What `UseDevelopmentStorage=true` means for queues."""
