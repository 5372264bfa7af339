"""The steps of a deployment: who takes each, with which rights, what it changes and leaves."""
