"""`bridge doctor`: what is wrong between the two clouds, and what to change."""
