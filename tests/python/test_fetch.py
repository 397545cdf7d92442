"""Published models are downloaded once, and only if they are what was published."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from osteoform import InputError, MissingExtraError, ModelFileError
from osteoform.cli import app
from osteoform.modeling import fetch as fetching
from osteoform.modeling.fetch import PublishedModel, cache_folder, fetch_model, registry

CONTENT = bytes(range(256)) * 40


@dataclass
class Server:
    """A local server of one file, and what was asked of it."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            cut = self.path == "/cut"
            self.send_response(200 if cut or self.path == "/model.pc" else 404)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100] if cut else CONTENT)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        found = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves this machine, whatever its environment says."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OSTEOFORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _model(url: str, content: bytes = CONTENT) -> dict[str, PublishedModel]:
    digest = hashlib.sha256(content).hexdigest()
    entry = replace(registry()["llp26"], name="toy", file="toy.pc", url=url, sha256=digest)
    return {"toy": entry}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_model_is_downloaded_once(server: Server, cache: Path) -> None:
    known = _model(server.url + "/model.pc")
    first, second = (fetch_model("toy", known=known) for _ in range(2))
    assert first.path == second.path == cache / "toy.pc"
    assert first.path.read_bytes() == CONTENT
    assert (first.downloaded, second.downloaded) == (True, False)
    assert server.asked == ["/model.pc"]
    assert _files(cache) == [first.path]


def test_a_cached_model_needs_no_network(server: Server, cache: Path) -> None:
    known = _model(server.url + "/model.pc")
    fetch_model("toy", known=known)
    gone = {"toy": replace(known["toy"], url="http://127.0.0.1:9/model.pc")}
    assert not fetch_model("toy", known=gone).downloaded


def test_another_file_is_refused_and_not_kept(server: Server, cache: Path) -> None:
    known = _model(server.url + "/model.pc", content=b"what was published")
    with pytest.raises(ModelFileError, match="nothing was kept") as error:
        fetch_model("toy", known=known)
    assert known["toy"].sha256 in str(error.value)
    assert _files(cache) == []


@pytest.mark.parametrize("path", ["/cut", "/missing"])
def test_a_failed_download_leaves_nothing(server: Server, cache: Path, path: str) -> None:
    with pytest.raises(ModelFileError, match="status 404" if path == "/missing" else "toy"):
        fetch_model("toy", known=_model(server.url + path))
    assert server.asked == [path]
    assert _files(cache) == []


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "toy.pc").write_bytes(CONTENT[:-1])
    assert fetch_model("toy", known=_model(server.url + "/model.pc")).downloaded
    assert (cache / "toy.pc").read_bytes() == CONTENT


def test_offline_says_what_to_do(cache: Path) -> None:
    with socket.socket() as taken:  # bound and never listening: refuses
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/model.pc"
        with pytest.raises(ModelFileError, match="no connection.*go online.*or save") as error:
            fetch_model("toy", known=_model(url))
    assert url in str(error.value)
    assert str(cache / "toy.pc") in str(error.value)
    assert _files(cache) == []


def test_a_silent_server_is_not_waited_for_for_ever(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/model.pc"
        with pytest.raises(ModelFileError, match=r"no answer within 0\.2 s"):
            fetch_model("toy", known=_model(url))
    assert _files(cache) == []


def test_an_unknown_name_and_an_unusable_cache_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no published model 'llp27'; known are llp26"):
        fetch_model("llp27", cache=tmp_path)
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(InputError, match="needed a folder"):
        fetch_model("llp26", cache=file)


def test_the_cache_folder_is_the_users_choice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("OSTEOFORM_CACHE")
    assert cache_folder().name == "osteoform"


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"osteoform\[ssm\]"):
        fetch_model("llp26", cache=tmp_path)


def test_poochs_messages_are_kept_back_only_meanwhile(server: Server, cache: Path) -> None:
    pooch = pytest.importorskip("pooch")
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = heard.append  # type: ignore[method-assign]
    logger = pooch.get_logger()
    level = logger.level
    logger.addHandler(handler)
    try:
        fetch_model("toy", known=_model(server.url + "/model.pc"))
    finally:
        logger.removeHandler(handler)
    assert heard == []
    assert logger.level == level


def test_every_entry_of_the_registry_is_complete() -> None:
    models = registry()
    assert "llp26" in models
    for model in models.values():
        assert model.url.startswith("https://")
        assert model.source.startswith("https://")
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.url.endswith(model.file)
        assert model.licence
        assert model.side in ("left", "right")


def test_the_registry_names_the_published_file(shared_data: Path) -> None:
    model = registry()["llp26"]
    content = (shared_data / "bones" / "llp26" / model.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == model.sha256
    assert len(content) == model.num_bytes


def _invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["model", "fetch", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_lists_and_fetches(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _model(server.url + "/model.pc")
    monkeypatch.setattr(fetching, "registry", lambda: known)
    code, text, _ = _invoke("--list")
    assert code == 0
    assert "toy" in text
    assert "MPL-2.0" in text
    assert json.loads(_invoke("--list", "--json")[1])["models"][0]["name"] == "toy"
    assert server.asked == []
    code, text, _ = _invoke("toy", "--json")
    values = json.loads(text)
    assert (code, values["downloaded"]) == (0, True)
    assert Path(values["path"]).read_bytes() == CONTENT
    code, text, _ = _invoke("toy")
    assert "was there already" in text
    assert "osteoform model import" in text


@pytest.mark.parametrize("arguments", [(), ("llp26", "--list"), ("llp27",)])
def test_the_command_refuses_in_one_line(arguments: tuple[str, ...], cache: Path) -> None:
    code, _, message = _invoke(*arguments)
    assert code == 2
    assert message.startswith("osteoform: error: ")
    assert message.count("\n") == 1
