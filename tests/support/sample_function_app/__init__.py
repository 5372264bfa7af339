"""A small Function App for the tests of the Functions host; functions show what they were given."""
