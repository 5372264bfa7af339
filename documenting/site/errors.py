"""What can be wrong with the site."""


class SiteError(Exception):
    """The site could not be built; the message says what to change."""
