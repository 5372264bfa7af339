"""What the Function App tells Application Insights about its work, beside what the host does."""
