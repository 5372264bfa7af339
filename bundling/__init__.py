"""Builds what ships to AWS: a bundle for each Lambda function, from the checkout and its locks."""
