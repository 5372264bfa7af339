"""Pictures of what the commands print and the console shows, each from a run that has just been."""
