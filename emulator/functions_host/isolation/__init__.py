"""The app in a process of its own, whose path has the app's package and nothing else."""
