"""Pan-sharpening: multispectral bands take on the detail of a panchromatic image (PAN).

``method`` has the algorithm, on planes of two grids (``grids``); ``filling`` is about pixels without data. ``arrays``
applies it to arrays and tensors. For georeferenced rasters, ``datasets`` opens files, ``bands`` reads them,
``georeference`` and ``scene`` place them on each other, ``output`` and ``rasters`` write the result. For Dask arrays
and ``xarray.DataArray``, ``lazily`` makes the lazy array, ``placing`` reads coordinates, ``chunked`` does tasks' work.
"""
