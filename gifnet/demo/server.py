"""Opening the page: on this machine only, with its files in a folder that goes when it is closed."""

import errno
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.progress import say
from ..extras import require
from ..models import Model, fuser_of
from ..options.declarations import MEMORY, PORT
from ..options.values import Device, Dtype, Memory
from .page import Page
from .work import Setup

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NONE_FREE = "none from 7860 on is free"


def launch(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    no_browser: bool = False,
    memory: Memory = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Open a page to try gifnet on, and keep it open until Ctrl-C or SIGTERM. Needs the extra "demo".

    Images that are dropped on it, and results, lie in a temporary folder; an hour after their last use, and when the
    page is closed, they are deleted. No usage statistics are sent.

    Args:
        host: the address of this machine that the page is reached at. ``"127.0.0.1"`` is for programs of this machine
            only, ``"0.0.0.0"`` for everybody who reaches the machine.
        port: its port. None: the first free one from 7860.
        share: a public link too, which passes all data through Gradio's servers. Best effort, for a week at most.
        no_browser: open no browser, only say where the page is.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Raises:
        InputError: an option with a wrong value, a host or port that can't be had.
        MissingExtraError: without the extra "demo".
        CheckpointError: see ``load``.
    """
    port, memory = PORT.check(port), MEMORY.check(memory)
    _check_address(host, port)
    require("gradio", "demo", "gifnet demo")  # before the seconds that a model takes
    fuser_of(model, device, dtype)  # what is wrong with it shows now, not to whoever uses the page
    setup = Setup(model, device, dtype, memory)
    stopped = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="gifnet-demo-", ignore_cleanup_errors=True) as folder,
        _environment(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=folder, **_without_proxy()),
        _ending(stopped),
    ):
        page = Page(Path(folder), setup, stopped)
        blocks = page.blocks()
        try:
            _open(blocks, page.options, host, port, share)
            address = blocks.local_url.rstrip("/")
            if host not in LOOPBACK:
                say(f"gifnet: everybody who reaches this machine at {host} can use the page, and its processors")
            if share:
                _say_public(blocks.share_url)
            print(f"gifnet: the page is at {address} (Ctrl-C closes it)", flush=True)
            if not no_browser:
                webbrowser.open(address)
            while not stopped.wait(0.5):  # without a limit, Ctrl-C would not be heard on Windows
                pass
        finally:
            stopped.set()
            blocks.close(verbose=False)


def _open(blocks: Any, options: dict[str, Any], host: str, port: int | None, share: bool) -> None:
    """Start serving. Raises InputError where the address can't be had."""
    try:
        blocks.launch(
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            **options,
        )
    except OSError as error:  # of ports that are taken, in Gradio's words, which speak of its own settings
        raise InputError(
            f"port: {_NONE_FREE if port is None else f'{port} is taken'}; give another one (--port)"
        ) from error
    except Exception as error:  # of the page that does not answer itself, in whatever form Gradio has for it
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"host: the page does not answer at {host!r} ({reason}); is there a firewall?") from error


def _check_address(host: str, port: int | None) -> None:
    """Raises InputError for an address that is not this machine's, and a port of it that can't be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a page that was closed just now
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise InputError(f"port: {port} can't be had ({reason}); give another one, or none (--port)") from error
        raise InputError(
            f"host: {host!r} is no address of this machine ({reason}); give 127.0.0.1 or 0.0.0.0"
        ) from error


def _say_public(address: str | None) -> None:
    if address is None:
        say("gifnet: no public link could be had; the page is on this machine only")
    else:
        print(f"gifnet: and, for everybody who knows it, at {address}", flush=True)


def _without_proxy() -> dict[str, str]:
    """Variables by which the page, when Gradio looks whether it answers, is asked itself and no proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    hosts = ",".join([*([given] if given else []), *LOOPBACK])
    return {"no_proxy": hosts, "NO_PROXY": hosts}


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    """Variables that Gradio reads, as they were afterwards."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ending(stopped: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set ``stopped`` meanwhile; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
