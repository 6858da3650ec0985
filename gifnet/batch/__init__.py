"""Files and whole folders of them: read, fused or enhanced, and written."""
