"""The commands that put the bridge on both clouds: each thin, over the `deployment` package."""
