"""See aiges.utils.log."""
