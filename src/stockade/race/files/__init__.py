"""Where scenarios come from: TOML files, Python files, and those of the package."""
