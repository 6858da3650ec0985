"""Every option of the functions and of the command line, once: name, type, default, check and help."""
