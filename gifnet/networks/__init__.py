"""The networks, a folder each, and the registry that the rest of the package knows them by."""
