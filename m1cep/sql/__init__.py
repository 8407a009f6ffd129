"""Rule text to a checked plan: front matter, dialect, row patterns, names and types."""
