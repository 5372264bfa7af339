"""What keeps a bundle from being built."""


class BundleError(Exception):
    """A bundle could not be built; the message says what to change."""

    code = "bundle_failed"
