"""The two commands: what the bootstrap decides, what it says when it cannot go on, and the lock files it reads."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with a folder of its own to work in."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STATE": tmp_path / ".venv" / "parley",
        "LOG": tmp_path / ".venv" / "parley" / "bootstrap.log",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def fails_with(text: str) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit(1)"]


def test_an_old_python_can_read_the_script_to_its_refusal() -> None:
    ast.parse((ROOT / "scripts" / "bootstrap.py").read_text(), feature_version=(3, 8))


def test_an_old_python_without_a_newer_one_is_told_what_to_install(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _name: None)
    with pytest.raises(bootstrap.Stop, match=r"Python 3\.11 or newer"):
        bootstrap.use_a_new_enough_python()


def test_a_python_without_venv_names_the_package_and_makes_nothing(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "nothing")
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(bootstrap.Stop, match=rf"apt install python3\.{sys.version_info[1]}-venv"):
        bootstrap.make_environment()
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    "text",
    [
        "error sending request for url (https://example.org/simple/uv/)",
        "Failed to establish a new connection: [Errno 111] Connection refused",
        "npm error code EAI_AGAIN",
        "Could not fetch URL: [Errno -3] Temporary failure in name resolution",
    ],
)
def test_no_registry_is_one_sentence(bootstrap: ModuleType, text: str) -> None:
    with pytest.raises(bootstrap.Stop, match="registry could not be reached") as stopped:
        bootstrap.quietly(*fails_with(text))
    assert "\n" not in str(stopped.value)
    assert text in bootstrap.LOG.read_text()


def test_a_full_disk_is_one_sentence(bootstrap: ModuleType) -> None:
    with pytest.raises(bootstrap.Stop, match="is full"):
        bootstrap.quietly(*fails_with("OSError: [Errno 28] No space left on device"))


def test_another_failure_shows_its_last_line_and_where_the_rest_is(bootstrap: ModuleType) -> None:
    with pytest.raises(bootstrap.Stop, match=r"hash mismatch.*bootstrap\.log"):
        bootstrap.quietly(*fails_with("hash mismatch"))


@pytest.mark.parametrize(
    ("told", "good"), [("v22.12.0", True), ("v24.1.0", True), ("v22.11.9", False), ("v18.19.0", False), ("", False)]
)
def test_a_node_that_is_too_old_is_passed_over(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, good: bool
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {told}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert (bootstrap.own_node() == tmp_path / "node") is good


def test_only_changed_sources_make_the_page_anew(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ui = tmp_path / "ui"
    (ui / "src").mkdir(parents=True)
    (ui / "node_modules").mkdir()
    (ui / "src" / "main.ts").write_text("1")
    (tmp_path / ".venv" / "parley").mkdir(parents=True)
    built: list[tuple[str, ...]] = []

    def build(*words: str) -> None:
        built.append(words)
        (ui / "dist").mkdir(exist_ok=True)
        (ui / "dist" / "index.html").write_text("page")

    for name, value in {"UI": ui, "PAGE": ui / "dist" / "index.html", "PAGE_SOURCES": (ui,), "npm": build}.items():
        monkeypatch.setattr(bootstrap, name, value)
    monkeypatch.setattr(bootstrap, "install_page_packages", lambda: None)
    bootstrap.build_page()
    bootstrap.build_page()
    (ui / "node_modules" / "other.js").write_text("fetched, not ours")
    bootstrap.build_page()
    assert len(built) == 1
    (ui / "src" / "main.ts").write_text("2")
    bootstrap.build_page()
    assert len(built) == 2
    (ui / "dist" / "index.html").unlink()
    bootstrap.build_page()
    assert len(built) == 3


def test_a_developers_settings_do_not_decide_what_is_tested(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_TEST_DATABASE_URL", "postgres://production/parley")
    monkeypatch.setenv("PARLEY_REDIS_URL", "redis://production")
    assert not [name for name in bootstrap.without_settings() if name.startswith("PARLEY_")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_of_a_lock_file_is_pinned_with_hashes(bootstrap: ModuleType, name: str) -> None:
    entries = bootstrap.parse_lock((ROOT / name).read_text())
    assert len(entries) > 40
    for package, entry in entries.items():
        assert re.match(rf"{re.escape(package)}(\[[a-z,]+\])?==", entry), package
        assert "--hash=sha256:" in entry, package


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_no_host_and_no_folder(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^\s*(-i|--index-url|--extra-index-url|--find-links|-f)\b", text)
    assert not re.search(r"(?<![\w.:/])/[a-z]", text)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_is_that_of_the_project(bootstrap: ModuleType, name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["build"]]
    wanted += project["build-system"]["requires"]
    if name == LOCKS[1]:
        wanted += project["project"]["optional-dependencies"]["dev"]
    entries = bootstrap.parse_lock((ROOT / name).read_text())
    for requirement in wanted:
        package, version = requirement.split(";")[0].strip().split("==")
        assert entries[package.lower().replace(".", "-").replace("_", "-")].split()[0].endswith(f"=={version}")


def test_the_dev_lock_holds_the_other_one(bootstrap: ModuleType) -> None:
    run, dev = (bootstrap.parse_lock((ROOT / name).read_text()) for name in LOCKS)
    assert {name: dev.get(name) for name in run} == run


def test_make_calls_the_script_in_one_line_each_and_lets_signals_through() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    recipes = [line.strip() for line in lines if line.startswith("\t")]
    assert recipes
    assert all(recipe.startswith("@exec python3 scripts/bootstrap.py ") for recipe in recipes)


def test_what_the_server_imports_is_left_compiled_although_python_is_told_to_write_nothing(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported.py").write_text("")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bootstrap, "IMPORTED", ("imported",))
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    bootstrap.compile_imports()
    assert list(tmp_path.glob("__pycache__/imported.*.pyc"))
