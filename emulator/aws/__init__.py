"""The local AWS: the project's own SAM template, deployed to MiniStack on loopback."""
