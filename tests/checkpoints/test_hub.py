"""Weights by name, with the real huggingface_hub client against a small Hub on loopback."""

import hashlib
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import commands
import pytest
import torch
from conftest import ROOT
from hub_server import HubServer, Repository
from safetensors.torch import save

import gifnet
from gifnet import Fuser, InputError
from gifnet.checkpoints import hub
from gifnet.checkpoints.format import describe, file_sha256, save_weights
from gifnet.checkpoints.hub import load_model, resolve
from gifnet.checkpoints.pretrained import save_folder
from gifnet.errors import CheckpointError
from gifnet.networks import registered
from gifnet.networks.gifnet import GIFNet, GIFNetConfig

CONFIG = GIFNetConfig(growth=4, position_hidden=8, main="mm")

Client = Callable[..., None]


@pytest.fixture(scope="module")
def model() -> GIFNet:
    torch.manual_seed(1)
    return GIFNet(CONFIG)


@pytest.fixture(scope="module")
def files(model: GIFNet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a Hub repository, by name."""
    folder = tmp_path_factory.mktemp("hub")
    save_folder(model, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def server(files: dict[str, bytes]) -> Iterator[HubServer]:
    """A Hub with the repository org/name."""
    with HubServer() as server:
        server.repositories["org/name"] = Repository()
        server.repositories["org/name"].commit(files, "main")
        yield server


@pytest.fixture
def client(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Starts huggingface_hub afresh, as in a new process, with the environment given; once at the test's start.

    It talks to the server, keeps its cache in ``tmp_path``, and can't connect to anything but loopback.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "huggingface_hub"}

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
            del sys.modules[name]

    def start(**environment: str) -> None:
        forget()  # it reads its environment when it is imported
        for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))]:
            monkeypatch.delenv(name)
        settings = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        for name, value in (settings | environment).items():
            monkeypatch.setenv(name, value)

    connect = socket.socket.connect

    def connect_on_loopback(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a test may not connect to {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_on_loopback)
    start()
    yield start
    forget()
    sys.modules.update(before)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries, half a minute of them, come without the waiting."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def refused(name: str | Path, match: str, **arguments: Any) -> str:
    """Loading raises a CheckpointError that matches; returns its message."""
    with pytest.raises(CheckpointError, match=match) as caught:
        load_model(name, **arguments)
    return str(caught.value)


def same_weights(a: GIFNet, b: GIFNet) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


# The bundled file and files of the user's


def test_bundled_weights_of_a_checkout(model: GIFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gifnet").mkdir()
    (tmp_path / "weights").mkdir()
    save_weights(model, tmp_path / "weights" / "gifnet.safetensors")
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "gifnet" / "checkpoints" / "hub.py"))
    loaded, found = load_model("gifnet")
    assert found.path == tmp_path / "weights" / "gifnet.safetensors"
    assert (found.config_path, found.label) == (None, "gifnet")
    assert same_weights(loaded, model)


def test_bundled_weights_of_an_installation_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "weights", tmp_path / "gifnet" / "weights"):
        folder.mkdir(parents=True)
        (folder / "gifnet.safetensors").touch()
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "gifnet" / "checkpoints" / "hub.py"))
    assert resolve("gifnet").path == tmp_path / "gifnet" / "weights" / "gifnet.safetensors"


def test_bundled_weights_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "gifnet" / "checkpoints" / "hub.py"))
    message = refused("gifnet", "the bundled weights are missing .* reinstall gifnet")
    assert str(tmp_path / "gifnet" / "weights") in message
    assert str(tmp_path / "weights") in message


@pytest.mark.parametrize("kind", [str, Path])
def test_local_file(model: GIFNet, tmp_path: Path, kind: Callable[[Path], str | Path]) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(model, path)
    loaded, found = load_model(kind(path))
    assert (found.path, found.config_path, found.label) == (path, None, str(path))
    assert same_weights(loaded, model)


def test_local_file_by_any_name(
    model: GIFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client, server: HubServer
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "org").mkdir()
    save_weights(model, "own.safetensors")
    for name in ("org/name", "weights"):  # a file goes before a repository of the same name
        os.link("own.safetensors", name)
    for name in ("own.safetensors", "./own.safetensors", "~/own.safetensors", "org/name", "weights"):
        loaded, found = load_model(name)
        assert found.label == name
        assert same_weights(loaded, model)
    assert server.requests == []


def test_a_path_object_is_never_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(Path("gifnet"), "^gifnet: no such file")
    assert refused(Path("org/name"), "^org/name: no such file")


@pytest.mark.parametrize(
    "name", ["none.safetensors", "org/none.safetensors", "./none", "../none", "~/none", "/none/none", ".none"]
)
def test_missing_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(name, "no such file; give .*a .safetensors file").startswith(name)


def test_folder(tmp_path: Path) -> None:
    assert refused(str(tmp_path), "a folder without model.safetensors; give the .safetensors file in it")


def test_a_folder_here_goes_before_a_repository(
    model: GIFNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client, server: HubServer
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/exp1")
    run.mkdir(parents=True)
    assert "in it" in refused("runs/exp1", "^runs/exp1: a folder without model.safetensors; give")
    save_weights(model, run / "last.safetensors")
    refused("runs/exp1", "without model.safetensors; it has last.safetensors; give the .safetensors file in it")
    save_folder(model, run)
    for name in ("runs/exp1", Path("runs/exp1"), "./runs/exp1", tmp_path / run):
        loaded, found = load_model(name)
        assert same_weights(loaded, model)
        assert found.path.name == "model.safetensors"
        assert found.config_path is not None
    (run / "config.json").write_text('{"format_version": 1}')
    refused("runs/exp1", "its metadata and config.json disagree")
    assert server.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe", "pipe.safetensors"):
        os.mkfifo(name)
        refused(name, f"^{name}: is no regular file")


@pytest.mark.parametrize(
    "name",
    [
        "org/name@../../x",
        "org/name@/etc",
        "org/name@a/../../../x",
        "org/name@..",
        "org/name@refs\\..\\x",
        "org/name@a//b",
        "org/name@.git/x",
        "org/..",
        "../name@main",
        "org/na..me",
        "org/na--me",
        "org/-name",
        "org/na\x1bme",
    ],
)
def test_names_that_lead_out_of_the_cache(name: str, tmp_path: Path, client: Client, server: HubServer) -> None:
    message = refused(name, "not a valid|no such file|no weights that gifnet knows")
    assert "\x1b" not in message
    assert server.requests == []
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("name", ["official.pth", "./x.PT", "some/pytorch_model.bin", "a/b/c.ckpt"])
def test_pickles_are_not_loaded(name: str) -> None:
    assert refused(name, f"does not load; the paper's is converted with: gifnet convert {name} OUT.safetensors")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gifnet2",
        "GIFNet",
        "no such",
        "org/",
        "/org",
        "org/name@",
        "a/b/c",
        "org/na me",
        "https://hub/org/name",
        "\0",
    ],
)
def test_other_words(name: str) -> None:
    assert refused(name, '"gifnet".*a .safetensors file.*"org/name')


def test_local_file_with_a_hash(model: GIFNet, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(model, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_model(path, sha256=sha256)[1] == resolve(path, sha256=sha256)
    assert refused(path, f"its sha256 is {sha256}, not 0000", sha256="0" * 64)


# The Hub


def test_download(client: Client, server: HubServer, model: GIFNet, tmp_path: Path) -> None:
    loaded, found = load_model("org/name")
    assert loaded.config == CONFIG
    assert same_weights(loaded, model)
    assert found.label == "org/name"
    assert found.path.name == "model.safetensors"
    assert found.path.is_relative_to(tmp_path / "hf" / "hub")  # the cache that HF_HOME names
    assert found.config_path is not None
    assert json.loads(found.config_path.read_text()) == describe(model)
    assert "GET /org/name/resolve/main/model.safetensors" in server.requests


def test_the_second_time_nothing_is_fetched(client: Client, server: HubServer) -> None:
    load_model("org/name")
    server.requests.clear()
    load_model("org/name")
    assert server.requests == ["HEAD /org/name/resolve/main/model.safetensors"]  # whether main has moved


def test_from_the_cache_in_offline_mode(client: Client, server: HubServer, model: GIFNet) -> None:
    found = resolve("org/name")
    server.requests.clear()
    client(HF_HUB_OFFLINE="1")
    loaded, again = load_model("org/name")
    assert again == found
    assert same_weights(loaded, model)
    assert server.requests == []


def test_from_the_cache_without_network(client: Client, server: HubServer, model: GIFNet) -> None:
    found = resolve("org/name")
    server.stop()
    loaded, again = load_model("org/name")
    assert again == found
    assert same_weights(loaded, model)


def test_offline_mode_and_nothing_in_the_cache(client: Client, server: HubServer) -> None:
    client(HF_HUB_OFFLINE="1")
    assert refused(
        "org/name", "^org/name: model.safetensors is not in the cache .* offline mode is on; unset HF_HUB_OFFLINE"
    )
    assert server.requests == []


@pytest.mark.usefixtures("impatient")
def test_no_network(client: Client, server: HubServer) -> None:
    server.stop()
    message = refused("org/name", "^org/name: .*does not answer; check the network.*or pass a local .safetensors file")
    assert server.url in message


@pytest.mark.usefixtures("impatient")
def test_hub_is_down(client: Client, server: HubServer) -> None:
    server.down = True
    assert refused("org/name", "^org/name: .*does not answer; check the network")


def test_revisions(client: Client, server: HubServer, files: dict[str, bytes], model: GIFNet, tmp_path: Path) -> None:
    other = GIFNet(CONFIG)
    save_folder(other, tmp_path / "other")
    content = {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    commit = server.repositories["org/name"].commit(content, "v2", "refs/pr/1")
    for revision in ("v2", "refs/pr/1", commit):
        loaded, found = load_model(f"org/name@{revision}")
        assert same_weights(loaded, other)
        assert found.label == f"org/name@{revision}"
    assert same_weights(load_model("org/name@main")[0], model)
    assert not same_weights(other, model)


def test_both_files_are_of_one_commit(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    repository = server.repositories["org/name"]
    first = repository.references["main"]
    assert resolve("org/name").path.parent.name == first
    second = repository.commit(files | {"README.md": b"moved on"}, "main")
    found = resolve("org/name")
    assert found.config_path is not None
    assert found.path.parent == found.config_path.parent
    assert found.path.parent.name == second


def test_missing_repository(client: Client, server: HubServer) -> None:
    message = refused("org/none", "^org/none: no such repository .* check the spelling of 'org/none'.* hf auth login")
    assert server.url in message


def test_gated_repository(client: Client, server: HubServer) -> None:
    server.gated.add("org/name")
    assert refused(
        "org/name", f"^org/name: access .* must be granted; ask for it at {server.url}/org/name and .* hf auth login"
    )


def test_missing_revision(client: Client) -> None:
    assert refused("org/name@v3", "^org/name@v3: the repository has no revision 'v3'; give a branch, tag or commit")


def test_missing_weights(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    server.repositories["org/name"].commit({"config.json": files["config.json"]}, "main")
    assert refused("org/name", r"^org/name: the repository has no model\.safetensors")


@pytest.mark.parametrize("name", ["org--x/name", "org/na..me", "org/name.git", "org/" + "n" * 200])
def test_invalid_repository_name(client: Client, server: HubServer, name: str) -> None:
    assert refused(name, "not a valid Hub repository name .*; give ").startswith(name)
    assert server.requests == []


def test_hash(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    sha256 = hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert load_model("org/name", sha256=sha256)[0].config == CONFIG
    assert refused("org/name", f"its sha256 is {sha256}, not 0000.*delete the file and fetch it again", sha256="0" * 64)


def test_config_json_that_disagrees(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    config = json.loads(files["config.json"]) | {"main": "dp"}
    server.repositories["org/name"].commit(files | {"config.json": json.dumps(config).encode()}, "main")
    assert refused("org/name", r"its metadata and config\.json disagree on 'main'")


def test_config_json_that_is_none(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    server.repositories["org/name"].commit(files | {"config.json": b"{"}, "main")
    assert refused("org/name", r"config\.json is not valid JSON")


def test_without_config_json_the_metadata_will_do(
    client: Client, server: HubServer, files: dict[str, bytes], model: GIFNet
) -> None:
    server.repositories["org/name"].commit({"model.safetensors": files["model.safetensors"]}, "main")
    loaded, found = load_model("org/name")
    assert found.config_path is None
    assert same_weights(loaded, model)
    client(HF_HUB_OFFLINE="1")
    assert same_weights(load_model("org/name")[0], model)


def test_without_metadata_config_json_will_do(
    client: Client, server: HubServer, files: dict[str, bytes], model: GIFNet
) -> None:
    bare = save({name: value.contiguous() for name, value in model.state_dict().items()})
    repository = server.repositories["org/name"]
    repository.commit(files | {"model.safetensors": bare}, "main")
    repository.commit({"model.safetensors": bare}, "bare")
    assert same_weights(load_model("org/name")[0], model)
    assert refused("org/name@bare", "no gifnet configuration in its metadata")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncated_file_in_the_repository(
    client: Client, server: HubServer, files: dict[str, bytes], share: float
) -> None:
    whole = files["model.safetensors"]
    cut = whole[: int(share * len(whole))]
    server.repositories["org/name"].commit(files | {"model.safetensors": cut}, "main")
    assert refused("org/name", r"model\.safetensors: not a whole safetensors file")


@pytest.mark.usefixtures("impatient")
def test_download_that_breaks_off(client: Client, server: HubServer, model: GIFNet) -> None:
    server.cut_short.add("model.safetensors")
    assert refused("org/name", r"^org/name: fetching model\.safetensors from .* failed .*try again")
    server.cut_short.clear()
    assert same_weights(load_model("org/name")[0], model)  # nothing broken stayed in the cache


def test_no_pickle_is_ever_asked_for(client: Client, server: HubServer, files: dict[str, bytes]) -> None:
    server.repositories["org/name"].commit({"pytorch_model.bin": b"x", "config.json": files["config.json"]}, "main")
    assert refused("org/name", r"has no model\.safetensors")
    assert not any("pytorch_model" in request for request in server.requests)


def test_the_client_is_imported_only_when_needed(model: GIFNet, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(model, path)
    code = f"import sys; from gifnet.checkpoints.hub import load_model; load_model({str(path)!r}); "
    code += "print('huggingface_hub' in sys.modules)"
    done = commands.run_code(code)
    assert done.stdout.strip() == "False", done.stderr


# Models as huggingface_hub has them


@pytest.fixture
def fuser(model: GIFNet) -> Fuser:
    return Fuser(model, "cpu", name="small", notes={"source": "a test"})


def card_of(content: bytes) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard(content.decode("utf-8"))


def test_saved_and_loaded_again(fuser: Fuser, model: GIFNet, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert fuser.save_pretrained(folder) is None
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = Fuser.from_pretrained(folder, device="cpu")
    assert same_weights(again._network, model)
    assert again.notes == {"source": "a test"}
    assert again.sha256 == file_sha256(folder / "model.safetensors")
    again.to(dtype="bfloat16").save_pretrained(tmp_path / "copy")  # the precision to compute in is no matter
    assert file_sha256(tmp_path / "copy" / "model.safetensors") == again.sha256
    with pytest.raises(CheckpointError, match="its sha256 is"):
        Fuser.from_pretrained(folder, sha256="0" * 64)


@pytest.mark.parametrize("name", [name for name, known in registered().items() if is_dataclass(known.config)])
def test_every_network(name: str, tmp_path: Path) -> None:
    known = registered()[name]
    network = known.network(known.config())
    Fuser(network, "cpu").save_pretrained(tmp_path)
    assert type(Fuser.from_pretrained(tmp_path)._network) is known.network
    card = card_of((tmp_path / "README.md").read_bytes())
    assert card.data.library_name == "gifnet"
    assert card.data.pipeline_tag == "image-to-image"
    assert name in card.data.tags
    assert card.data.license is None  # nobody said so


def test_card(fuser: Fuser, tmp_path: Path) -> None:
    notes = {"validation": '{"VIF": 0.9, "photo_psnr": 31.5}', "odd": "`| \x1b[2J\n# no heading"}
    Fuser(fuser._network, "cpu", notes=notes).save_pretrained(
        tmp_path / "run7",
        model_card_kwargs={
            "license": "mit",
            "tags": ["thermal"],
            "datasets": "org/set",
            "results": {"MSRS, 25 pairs": {"Qabf": 0.658}},
            "description": "For *cameras*.",
        },
    )
    content = (tmp_path / "run7" / "README.md").read_bytes()
    data, text = card_of(content).data, card_of(content).text
    assert (data.license, data.datasets, data.model_name) == ("mit", ["org/set"], "run7")
    assert {"image-fusion", "gifnet", "thermal"} <= set(data.tags)
    found = {(each.dataset_name, each.dataset_type, each.metric_name): each.metric_value for each in data.eval_results}
    assert found == {
        ("MSRS, 25 pairs", "msrs-25-pairs", "Qabf"): 0.658,
        ("validation of the training run", "validation-of-the-training-run", "VIF"): 0.9,
        ("validation of the training run", "validation-of-the-training-run", "photo_psnr"): 31.5,
    }
    assert f"`{file_sha256(tmp_path / 'run7' / 'model.safetensors')}`" in text
    assert "from_pretrained('run7')" in text
    assert text.strip().startswith("For *cameras*.")
    assert b"\x1b" not in content
    assert "\n# no heading" not in text


@pytest.mark.parametrize(
    ("name", "file", "order"),
    [
        ("gifnet", "README.md", ["EI", "VIF", "SCD", "AG", "SSIM", "Qabf"]),
        ("gifnet-fast", "gifnet-fast.md", ["VIF", "SSIM", "Qabf"]),
    ],
)
def test_card_of_the_bundled_weights(name: str, file: str, order: list[str], tmp_path: Path) -> None:
    """Is the model card beside them, with the figures of its own table in the Hub's format."""
    gifnet.load(name, "cpu").save_pretrained(tmp_path)
    assert file_sha256(tmp_path / "model.safetensors") == gifnet.load(name, "cpu").sha256
    card = card_of((tmp_path / "README.md").read_bytes())
    assert card.data.license == "apache-2.0"
    assert card.data.model_name == name
    table = (ROOT / "weights" / file).read_text(encoding="utf-8")
    for result in card.data.eval_results:
        task, *where, pairs = result.dataset_name.removesuffix(" pairs").split(", ")
        (row,) = re.findall(rf"^\| {task} \({', '.join([*where, pairs])}\), {name} \|(.*)\|$", table, re.MULTILINE)
        cells = [cell.strip(" *") for cell in row.split("|")]
        assert cells[order.index(result.metric_name)] == f"{result.metric_value:.3f}"
    assert len(card.data.eval_results) >= 15
    assert "## Known weaknesses" in card.text
    assert "](../" not in card.text  # which leads nowhere there


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"licence": "mit"}, "'licence' is no part of a card; it takes license, tags"),
        ({"tags": 3}, "tags must be a text or a list of texts, not 3"),
        ({"license": ["mit"]}, "license must be a text"),
        ({"results": {"x": {"VIF": float("nan")}}}, "'VIF': nan is no finite number; give"),
        ({"results": {"x": 3}}, "3 is no mapping"),
        ({"results": [1]}, "results must be numbers by data set and metric"),
    ],
)
def test_wrong_cards_are_refused_before_anything_is_written(
    fuser: Fuser, tmp_path: Path, kwargs: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        fuser.save_pretrained(tmp_path / "folder", model_card_kwargs=kwargs)
    assert not (tmp_path / "folder").exists()


def test_a_card_is_kept_unless_another_is_asked_for(fuser: Fuser, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    fuser.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    fuser.save_pretrained(tmp_path, model_card_kwargs={})
    assert "library_name: gifnet" in (tmp_path / "README.md").read_text()


def test_all_files_or_none(fuser: Fuser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuser.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write = Path.write_bytes
    other = Fuser(GIFNet(CONFIG), "cpu")

    def fail_at_the_card(self: Path, content: bytes) -> int:
        if self.suffix == ".md":
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_card)
    with pytest.raises(CheckpointError, match=r"can't be written \(No space left on device\)"):
        other.save_pretrained(tmp_path, model_card_kwargs={})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with torch.no_grad():
        next(other._network.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        other.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file(fuser: Fuser, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"can't be written .*; give another folder"):
        fuser.save_pretrained(tmp_path / "file")
    with pytest.raises(TypeError, match="private: an argument of push_to_hub=True only"):
        fuser.save_pretrained(tmp_path / "new", private=True)


def test_from_pretrained_by_its_options(
    client: Client, server: HubServer, files: dict[str, bytes], model: GIFNet, tmp_path: Path
) -> None:
    server.repositories["org/name"].commit(files, "v2")
    cache = tmp_path / "cache"
    with pytest.raises(CheckpointError, match=f"is not in the cache .{cache}. and local_files_only is set; leave"):
        Fuser.from_pretrained("org/name", cache_dir=cache, local_files_only=True)
    assert server.requests == []
    loaded = Fuser.from_pretrained("org/name", revision="v2", cache_dir=cache, token="hf_reader", device="cpu")
    assert same_weights(loaded._network, model)
    assert (loaded.name, loaded.device.type) == ("org/name", "cpu")
    assert "GET /org/name/resolve/v2/model.safetensors" in server.requests
    assert set(server.tokens) == {"hf_reader"}
    assert cache.exists()
    assert not (tmp_path / "hf" / "hub").exists()
    server.requests.clear()
    Fuser.from_pretrained("org/name", revision="v2", cache_dir=cache, local_files_only=True)
    assert server.requests == []
    Fuser.from_pretrained("org/name@v2", revision="v2", cache_dir=cache, force_download=True)
    assert "GET /org/name/resolve/v2/model.safetensors" in server.requests
    with pytest.raises(CheckpointError, match=r"^org/name@v2: names a revision, and revision='main' another one"):
        Fuser.from_pretrained("org/name@v2", revision="main")
    with pytest.raises(CheckpointError, match="not a valid revision"):
        Fuser.from_pretrained("org/name", revision="../../x")


def test_pushed_and_loaded_again(client: Client, server: HubServer, fuser: Fuser, tmp_path: Path) -> None:
    url = fuser.push_to_hub("org/new", token=server.writer, private=True, commit_message="First")
    repository = server.repositories["org/new"]
    commit = repository.references["main"]
    assert url == f"{server.url}/org/new/commit/{commit}"
    assert sorted(repository.commits[commit]) == ["README.md", "config.json", "model.safetensors"]
    assert (server.messages, server.private) == (["First"], {"org/new"})  # one commit
    assert "from_pretrained('org/new')" in card_of(repository.commits[commit]["README.md"]).text
    loaded = Fuser.from_pretrained("org/new", device="cpu")
    assert same_weights(loaded._network, fuser._network)
    assert loaded.notes == fuser.notes


def test_a_card_on_the_hub_is_kept(client: Client, server: HubServer, fuser: Fuser) -> None:
    repository = server.repositories["org/name"]
    repository.commit({"README.md": b"---\nlicense: mit\n---\nmine", "other": b"1"}, "main")
    fuser.push_to_hub("org/name", token=server.writer)
    files = repository.commits[repository.references["main"]]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "other"]
    assert files["README.md"].endswith(b"mine")
    fuser.push_to_hub("org/name", token=server.writer, model_card_kwargs={"license": "mit"})
    assert card_of(repository.commits[repository.references["main"]]["README.md"]).data.library_name == "gifnet"


def test_saved_and_pushed(client: Client, server: HubServer, fuser: Fuser, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    url = fuser.save_pretrained(folder, push_to_hub=True, token=server.writer)
    repository = server.repositories["me/mine"]
    assert url == f"{server.url}/me/mine/commit/{repository.references['main']}"
    pushed = repository.commits[repository.references["main"]]
    assert pushed == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_pull_request(client: Client, server: HubServer, fuser: Fuser, files: dict[str, bytes]) -> None:
    repository = server.repositories["org/name"]
    before = repository.references["main"]
    fuser.push_to_hub("org/name", token=server.writer, create_pr=True)
    assert repository.references["main"] == before
    assert same_weights(Fuser.from_pretrained("org/name@refs/pr/1")._network, fuser._network)


@pytest.mark.usefixtures("impatient")
def test_pushing_that_is_refused(client: Client, server: HubServer, fuser: Fuser) -> None:
    for arguments, match in (
        ({"repo_id": "org/name", "token": "hf_other"}, "^org/name: pushing to .* failed .*hf auth login, or token="),
        ({"repo_id": "other/name", "token": server.writer}, "^other/name: .* a token that may write there"),
        ({"repo_id": "org/name", "token": server.writer, "branch": "none"}, "^org/name: .* no branch 'none'; make it"),
        ({"repo_id": "../x", "token": server.writer}, "not a valid Hub repository name"),
        ({"repo_id": "org/name", "branch": "../x"}, "not a valid revision"),
    ):
        with pytest.raises(CheckpointError, match=match):
            fuser.push_to_hub(**arguments)
    server.down = True
    with pytest.raises(CheckpointError, match=r"^org/name: pushing .* check the network"):
        fuser.push_to_hub("org/name", token=server.writer)
    client(HF_HUB_OFFLINE="1")
    with pytest.raises(CheckpointError, match="offline mode is on: unset HF_HUB_OFFLINE"):
        fuser.push_to_hub("org/name", token=server.writer)
    assert server.messages == []
