"""The module names that wrappers of the predecessor import, on the standard library alone."""
