"""The local console: a page that shows the running stack at work, with buttons that try it."""
