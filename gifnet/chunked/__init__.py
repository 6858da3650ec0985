"""Dask arrays and xarray: images as lazy arrays, computed chunk by chunk, on one machine or many. Extra ``[dask]``.

Nothing here is needed for images of other kinds, and nothing imports Dask or xarray before an object of theirs is met.

``kinds`` tells such objects by their types. ``labelled`` takes the labels of xarray's arrays off and puts them back.
``fusing`` makes the lazy array of a fusion. It describes the work as a job (``job``), which ``graph`` lays out as Dask
tasks: one for each part of the image and pass. The parts (``parts``) follow the chunks; ``view`` shows a task its part
of an input with what lies around it. What a task computes is what the tiled form of the network computes of a tile.
"""
