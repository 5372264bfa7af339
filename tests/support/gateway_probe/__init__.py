"""Functions that stand behind the real template while a test looks at the gateway alone."""
