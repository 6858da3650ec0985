"""The page: what it looks like, and which of its parts does what."""

import html
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, escaped
from ..execution.running import Execution
from ..extras import require
from ..files.reading import count_images
from ..fuser import Fuser
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
.said {margin: 0; overflow-wrap: anywhere}
.said small {display: block; color: var(--body-text-color-subdued)}
.trouble {color: var(--error-text-color); background: var(--error-background-fill); padding: 8px 12px;
  border: 1px solid var(--error-border-color); border-radius: var(--radius-md)}
"""


def models_to_choose(chosen: Any) -> list[tuple[str, Any]]:
    """Names and values: the model chosen at first, then every network that comes with weights."""
    bundled = [name for name, network in registered().items() if network.weights]
    first = [] if chosen in bundled else [chosen]
    return [(model.name if isinstance(model, Fuser) else str(model), model) for model in (*first, *bundled)]


class Page:
    """The parts of the page, and what happens when they are used."""

    def __init__(self, folder: Path, setup: Setup, stopped: threading.Event) -> None:
        """Results go into ``folder``; work under way ends once ``stopped`` is set.

        Raises MissingExtraError without the extra "demo".
        """
        self.gr = require("gradio", "demo", "gifnet demo")
        self.folder, self.setup, self.stopped = folder, setup, stopped
        self.models = dict(models_to_choose(setup.model))
        self.examples = examples()
        self.options = {
            "css": CSS,
            # Fonts of the system: none is fetched from anywhere.
            "theme": self.gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")),
        }

    def blocks(self) -> Any:
        """The page as ``gradio.Blocks``, not opened yet; ``options`` go to its ``launch``."""
        gr = self.gr
        with gr.Blocks(title="gifnet", analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as blocks:
            gr.Markdown(
                "# gifnet\nTwo or more images of one scene become one that shows what each of them does. One image "
                "alone is enhanced. Nothing leaves the machine that this page comes from."
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
        self.task = gr.Dropdown(list(TASKS), value=next(iter(TASKS)), label="Task", info=next(iter(TASKS.values())))
        self.files = gr.File(
            file_count="multiple", label="Images, in their order", height=170, allow_reordering=True, elem_id="files"
        )
        self.gallery = gr.Gallery(
            label="What they show", columns=2, height="auto", interactive=False, visible=False, allow_preview=False,
            object_fit="contain", buttons=[], elem_id="inputs",
        )  # fmt: skip
        with gr.Row():
            self.align = gr.Checkbox(label="Align", info="The others to the first")
            self.stretch = gr.Checkbox(label="Stretch contrast", info="Of grey images, each on its own")
        self.strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", info="Of enhancing one image")
        names = list(self.models)
        self.model = gr.Dropdown(names, value=names[0], label="Model", interactive=len(names) > 1)
        with gr.Row():
            self.swap = gr.Button("Turn the order", min_width=120)
            self.go = gr.Button("Fuse", variant="primary", min_width=120, elem_id="go")
        if self.examples:
            self.dataset = gr.Dataset(
                components=[gr.Image(render=False)],
                samples=[[str(example.files[0])] for example in self.examples],
                sample_labels=[example.title for example in self.examples],
                type="index",
                label="Or an example",
                elem_id="examples",
            )

    def _lay_out_results(self) -> None:
        gr = self.gr
        self.status = gr.HTML(elem_id="status")
        self.slider = gr.ImageSlider(
            label="Before | after", interactive=False, buttons=["fullscreen"], max_height=640, elem_id="slider"
        )
        self.compared = gr.Radio([], label="Compare with", visible=False, elem_id="compared")
        self.download = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="download")
        self.result = gr.State(None, time_to_live=KEPT, delete_callback=_remove)

    # --- what happens -------------------------------------------------------------------------------------

    def _connect(self) -> None:
        gr = self.gr
        hidden = {"api_visibility": "private"}
        looked_at = [self.gallery, self.status, self.go]
        given = [self.files, self.model, self.strength, self.align, self.stretch, self.result]
        results = [self.slider, self.compared, self.download, self.status, self.result]

        # Gradio finds its progress bar among the defaults of a function's parameters.
        def run(*values: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
            return self.run(*values, progress=progress)

        doing: dict[str, Any] = {
            "fn": run, "inputs": given, "outputs": results, "concurrency_limit": 1, "concurrency_id": "fusing",
            "show_progress_on": self.slider, **hidden,
        }  # fmt: skip
        self.task.change(
            lambda task: gr.Dropdown(info=TASKS[task]), self.task, self.task, show_progress="hidden", **hidden
        )
        self.files.change(
            self.look, self.files, looked_at, show_progress="minimal", show_progress_on=self.gallery, **hidden
        )
        self.swap.click(lambda files: files and files[::-1], self.files, self.files, show_progress="hidden", **hidden)
        self.go.click(**doing)
        self.compared.input(self.compare, [self.compared, self.result], [self.slider, self.status], **hidden)
        if self.examples:
            self.dataset.click(
                self.example, self.dataset, [self.task, self.files, self.align, self.stretch], **hidden
            ).then(**doing)

    def look(self, files: Sequence[str] | None) -> tuple[Any, Any, Any]:
        """What was dropped: thumbnails, or why one can't be read; and what the button will do."""
        gr, files = self.gr, files or []
        shown, troubles = [], []
        for number, path in enumerate(files[:THUMBNAILS], 1):
            try:
                image, words = thumbnail(path, Execution.checked("auto", self.setup.memory, False))
                shown.append((image, f"{number}: {Path(path).name} ({words})"))
            except TROUBLES as error:
                troubles.append(in_words(error, files))
        return (
            gr.Gallery(value=shown, visible=bool(shown)),
            "".join(map(_trouble, troubles)),
            gr.Button("Enhance" if _alone(files) else f"Fuse {len(files)}" if len(files) > 2 else "Fuse"),
        )

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
        progress: Callable[..., object],
    ) -> tuple[Any, ...]:
        """Fuse or enhance: what the slider, the choice below it, the download, the status and the state become."""
        gr = self.gr
        files = tuple(files or ())

        def steps(done: int, number: int) -> None:
            if self.stopped.is_set():
                raise InputError("the page is being closed")
            progress((done, number), desc="Working", unit="steps")

        progress(0, desc="Reading")
        try:
            wish = Wish(files, self.models[model], strength, align, stretch)
            result = work(wish, self.folder, self.setup, steps)
        except TROUBLES as error:
            return gr.skip(), gr.skip(), gr.skip(), _trouble(in_words(error, files)), gr.skip()
        _remove(before)
        names = [name for name, _ in result.before]
        return (
            gr.ImageSlider(value=(str(result.before[0][1]), str(result.after)), label=_label(names[0])),
            gr.Radio(names, value=names[0], visible=len(names) > 1),
            gr.DownloadButton(f"Download {result.file.name} ({_size(result.file)})", str(result.file), visible=True),
            f'<p class="said">{html.escape(escaped(result.summary))}<small>{html.escape(escaped(result.notes))}'
            "</small></p>",
            result,
        )

    def compare(self, name: str, result: Result | None) -> tuple[Any, Any]:
        """Another image beside the result."""
        gr = self.gr
        path = dict(result.before).get(name) if result else None
        if result is None or path is None or not path.is_file():
            return gr.skip(), _trouble("this result is no longer kept; fuse the images once more")
        return gr.ImageSlider(value=(str(path), str(result.after)), label=_label(name)), gr.skip()


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


def _trouble(text: str) -> str:
    return f'<p class="said trouble" role="alert">{html.escape(text)}</p>'


def _label(name: str) -> str:
    return f"{name} | result"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size // 1000, 1)} KB"


def _remove(result: Result | None) -> None:
    """Delete what came of earlier work; it may be gone already."""
    if result is not None:
        shutil.rmtree(result.file.parent, ignore_errors=True)
