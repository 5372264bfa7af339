"""The store in PostgreSQL. Importing it imports its driver: only who has chosen it does."""
