"""Images in memory: whatever kind a caller has becomes a ``Picture``, and a result becomes that kind again."""
