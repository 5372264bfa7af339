"""The docs as a site: the pages made ready for mkdocs, the build, and what is checked in it."""
