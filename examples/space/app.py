"""The page of ``gifnet demo`` in a Hugging Face Space, which says by variables where it is to be served."""

import os

from gifnet.demo import launch

launch(
    host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
    port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
    no_browser=True,
)
