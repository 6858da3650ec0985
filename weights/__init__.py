"""gifnet's bundled weights. A package only so that editable installs find the folder; holds no code."""
