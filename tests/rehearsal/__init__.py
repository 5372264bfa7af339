"""The deployment rehearsed on real processes: from empty clouds, again, and killed at each step."""
