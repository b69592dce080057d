"""How messages look on each wire; nothing more."""
