"""Image files, read and written with their full depth, alpha and metadata. NumPy and Pillow; no tensors."""
