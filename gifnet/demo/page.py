"""The page: what it looks like, and which of its parts does what."""

import base64
import html
import io
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError, escaped
from ..execution.running import Execution
from ..extras import require
from ..files.reading import count_images
from ..fuser import Fuser
from ..models import Model
from ..networks import registered
from .previews import thumbnail
from .tasks import TASKS, examples
from .work import Result, Setup, Wish, work

KEPT = 3600  # seconds that files are kept after they were last asked for
QUEUED = 50  # who comes after them is told that there are too many
THUMBNAILS = 24
TROUBLES = (InputError, OSError, MemoryError, RuntimeError)  # said in words, as on the command line
CSS = """
.gradio-container {max-width: 1280px !important; margin: 0 auto}
#compared label {max-width: 100%}
#compared span, #download {overflow-wrap: anywhere; white-space: normal}
.said {margin: 0; overflow-wrap: anywhere}
.said small {display: block; color: var(--body-text-color-subdued)}
.trouble {color: var(--error-text-color); background: var(--error-background-fill); padding: 8px 12px;
  border: 1px solid var(--error-border-color); border-radius: var(--radius-md)}
.thumbnails {display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 10px}
.thumbnails figure {margin: 0}
.thumbnails img {width: 100%; height: 110px; object-fit: contain; background: var(--background-fill-secondary);
  border-radius: var(--radius-sm)}
.thumbnails figcaption {font-size: var(--text-sm); line-height: 1.3; overflow-wrap: anywhere}
.thumbnails small {display: block; color: var(--body-text-color-subdued)}
"""


def models_to_choose(chosen: Model) -> dict[str, Model]:
    """By name: the model chosen at first, then every network that comes with weights."""
    first = (chosen.name or "the model") if isinstance(chosen, Fuser) else str(chosen)
    return {first: chosen} | {
        name: name for name, network in registered().items() if network.weights is not None and name != first
    }


class Page:
    """The parts of the page, and what happens when they are used."""

    def __init__(self, folder: Path, setup: Setup, stopped: threading.Event) -> None:
        """Results go into ``folder``; work under way ends once ``stopped`` is set.

        Raises MissingExtraError without the extra "demo".
        """
        self.gr = require("gradio", "demo", "gifnet demo")
        self.folder, self.setup, self.stopped = folder, setup, stopped
        self.models = models_to_choose(setup.model)
        self.examples = examples()
        # Fonts of the system: none is fetched from anywhere.
        theme = self.gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
        theme.set(body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500")  # Gradio's are faint
        self.options = {
            "css": CSS,
            "allowed_paths": [str(path) for example in self.examples for path in example.files],
            "theme": theme,
        }

    def blocks(self) -> Any:
        """The page as ``gradio.Blocks``, not opened yet; ``options`` go to its ``launch``."""
        gr = self.gr
        with gr.Blocks(title="gifnet", analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as blocks:
            gr.Markdown(
                "# gifnet\nTwo or more images of one scene become one that shows what each of them does. One image "
                "alone is enhanced. It is done on the machine that serves this page, which keeps them for an hour."
            )
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320):
                    self._lay_out_inputs()
                with gr.Column(scale=3, min_width=320):
                    self._lay_out_results()
            self._connect()
        blocks.queue(max_size=QUEUED, default_concurrency_limit=2, api_open=False)
        return blocks

    # --- what it looks like -------------------------------------------------------------------------------

    def _lay_out_inputs(self) -> None:
        gr = self.gr
        task, hint = next(iter(TASKS.items()))
        self.task = gr.Dropdown(list(TASKS), value=task, label="Task", info=hint, filterable=False, elem_id="task")
        self.files = gr.File(
            file_count="multiple", label="Images, in their order", height=170, allow_reordering=True, elem_id="files"
        )
        self.thumbnails = gr.HTML(visible=False, elem_id="thumbnails")
        self.reverse = gr.Button("Reverse the order", size="sm", visible=False, elem_id="reverse")
        with gr.Row():
            self.align = gr.Checkbox(label="Align", info="The others to the first")
            self.stretch = gr.Checkbox(label="Stretch contrast", info="Of grey images, each on its own")
        self.strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", visible=False, elem_id="strength")
        names = list(self.models)
        self.model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, elem_id="model")
        self.go = gr.Button("Fuse", variant="primary", elem_id="go")
        self.trouble = gr.HTML(visible=False, elem_id="trouble")
        if self.examples:
            self.chosen = gr.Dataset(
                components=[gr.Textbox(render=False)],
                samples=[[example.title] for example in self.examples],
                type="index",
                label="Or an example",
                elem_id="examples",
            )

    def _lay_out_results(self) -> None:
        gr = self.gr
        self.slider = gr.ImageSlider(
            label="Before | after", interactive=False, buttons=["fullscreen"], max_height=640, elem_id="slider"
        )
        self.compared = gr.Radio([], label="Compare with", visible=False, elem_id="compared")
        self.summary = gr.HTML(visible=False, elem_id="summary")
        self.download = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="download")
        self.result = gr.State(None, time_to_live=KEPT, delete_callback=_remove)

    # --- what happens -------------------------------------------------------------------------------------

    def _connect(self) -> None:
        gr = self.gr
        quietly = {"show_progress": "hidden", "api_visibility": "private"}
        given = [self.files, self.model, self.strength, self.align, self.stretch, self.result]

        # Gradio finds its progress bar among the defaults of a function's named parameters.
        def run(
            files: Any,
            model: Any,
            strength: Any,
            align: Any,
            stretch: Any,
            before: Any,
            progress: Any = gr.Progress(),  # noqa: B008
        ) -> tuple[Any, ...]:
            return self.run(files, model, strength, align, stretch, before, progress=progress)

        doing: dict[str, Any] = {
            "fn": run,
            "inputs": given,
            "outputs": [self.slider, self.compared, self.summary, self.download, self.trouble, self.result],
            "concurrency_limit": 1,  # images at once: each takes all processors
            "show_progress_on": self.slider,
            "scroll_to_output": True,
            "api_visibility": "private",
        }
        self.task.change(lambda task: gr.Dropdown(info=TASKS[task]), self.task, self.task, **quietly)
        looked = [self.thumbnails, self.reverse, self.align, self.strength, self.go]
        self.files.change(self.look, self.files, looked, **quietly)
        self.reverse.click(lambda files: files and files[::-1], self.files, self.files, **quietly)
        self.go.click(**doing)
        self.compared.input(self.compare, [self.compared, self.result], [self.slider, self.trouble], **quietly)
        if self.examples:
            chosen = [self.task, self.files, self.align, self.stretch]
            self.chosen.click(self.example, self.chosen, chosen, **quietly).then(**doing)

    def look(self, files: Sequence[str] | None) -> tuple[Any, ...]:
        """What was dropped: thumbnails, or why one can't be read; and which of the controls are of use for them."""
        gr, files = self.gr, files or []
        figures = [self._figure(path, number) for number, path in enumerate(files[:THUMBNAILS], 1)]
        alone = _alone(files)
        return (
            gr.HTML(f'<div class="thumbnails">{"".join(figures)}</div>', visible=bool(figures)),
            gr.Button(visible=len(files) > 1),
            gr.Checkbox(visible=not alone),
            gr.Slider(visible=alone),
            gr.Button("Enhance" if alone else "Fuse"),
        )

    def _figure(self, path: str, number: int) -> str:
        """A thumbnail with its caption, or what is wrong with the file."""
        try:
            image, words = thumbnail(path, Execution.checked("auto", self.setup.memory, False))
        except TROUBLES as error:
            return f"<figure>{_trouble(f'{number}: {in_words(error, [path])}')}</figure>"
        caption = f"<figcaption>{_said(f'{number}: {Path(path).name}', words)}</figcaption>"
        return f'<figure><img src="{_as_address(image)}" alt="">{caption}</figure>'

    def example(self, index: int) -> tuple[str, list[str], bool, bool]:
        """The task and files of an example, with nothing done to them first."""
        chosen = self.examples[index]
        return chosen.task, [str(path) for path in chosen.files], False, False

    def run(
        self,
        files: Sequence[str] | None,
        model: str,
        strength: float,
        align: bool,
        stretch: bool,
        before: Result | None,
        *,
        progress: Callable[..., object],
    ) -> tuple[Any, ...]:
        """Fuse or enhance: what the parts of the page that show a result become; only a message where it fails."""
        gr = self.gr
        files = tuple(files or ())

        def steps(done: int, number: int) -> None:
            if self.stopped.is_set():
                raise InputError("the page is being closed")
            progress((done, number), desc="Working", unit="steps")

        progress(0, desc="Reading")
        try:
            result = work(Wish(files, self.models[model], strength, align, stretch), self.folder, self.setup, steps)
        except TROUBLES as error:
            return (*(gr.skip() for _ in range(4)), self._told(in_words(error, files)), gr.skip())
        _remove(before)
        names = [name for name, _ in result.before]
        return (
            gr.ImageSlider((str(result.before[0][1]), str(result.after)), label=_label(names[0])),
            gr.Radio(names, value=names[0], visible=len(names) > 1),
            gr.HTML(_said(result.summary, result.notes), visible=True),
            gr.DownloadButton(f"Download {result.file.name} ({_size(result.file)})", str(result.file), visible=True),
            self._told(),
            result,
        )

    def compare(self, name: str, result: Result | None) -> tuple[Any, Any]:
        """Another image beside the result."""
        path = dict(result.before).get(name) if result else None
        if result is None or path is None or not path.is_file():
            return self.gr.skip(), self._told("this result is no longer kept; fuse the images once more")
        return self.gr.ImageSlider((str(path), str(result.after)), label=_label(name)), self._told()

    def _told(self, trouble: str = "") -> Any:
        """What went wrong, or nothing, where all can see it."""
        return self.gr.HTML(_trouble(trouble), visible=bool(trouble))


def in_words(error: BaseException, files: Sequence[str]) -> str:
    """The message, with files called by their names: where they lie here says nothing to who dropped them."""
    text = " ".join(str(error).split()) or type(error).__name__
    for path in files:
        text = text.replace(str(path), Path(path).name)
    return escaped(text)


def _alone(files: Sequence[str]) -> bool:
    """Whether it is one image, which is enhanced."""
    try:
        return len(files) == 1 and count_images(files[0], files[0]) < 2
    except TROUBLES:
        return False


def _said(text: str, detail: str) -> str:
    """A paragraph, and beneath it what is of less interest."""
    small = f"<small>{html.escape(escaped(detail))}</small>" if detail else ""
    return f'<p class="said">{html.escape(escaped(text))}{small}</p>'


def _trouble(text: str) -> str:
    return f'<p class="said trouble" role="alert">{html.escape(text)}</p>'


def _as_address(image: Image.Image) -> str:
    """An image as part of the page itself."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _label(name: str) -> str:
    """Short: it covers a corner of the image."""
    return f"Image {name.partition(':')[0]} | result"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size // 1000, 1)} KB"


def _remove(result: Result | None) -> None:
    """Delete what came of earlier work; it may be gone already."""
    if result is not None:
        shutil.rmtree(result.file.parent, ignore_errors=True)
