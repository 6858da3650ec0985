"""What the networks learn, a folder each."""
