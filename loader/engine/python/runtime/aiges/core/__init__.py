"""See aiges.core.types."""
