"""Files of weights: their contents and format, where they come from, and the conversion of others'."""
