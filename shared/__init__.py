"""What both clouds must agree on: packaged into every deployable, standard library only."""
