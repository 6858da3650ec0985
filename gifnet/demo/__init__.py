"""A page in the browser to try gifnet on: ``gifnet demo``. Nothing else of the package needs it.

``work`` is what the page does with files, ``page`` what it looks like (Gradio, extra "demo"), ``server`` opens it.
"""

from .server import launch

__all__ = ["launch"]
