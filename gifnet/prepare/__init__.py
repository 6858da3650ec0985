"""What can be done to images before they are fused: stretching contrast, resizing, aligning."""
