"""Pan-sharpening: the method on planes, and arrays, tensors and georeferenced rasters that it is applied to."""
