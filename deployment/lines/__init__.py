"""The command lines of a deployment, as data: what a plan shows is what a rollout runs."""
