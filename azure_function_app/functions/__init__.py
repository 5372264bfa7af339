"""The triggers of the Function App, each as thin as an entry can be."""
