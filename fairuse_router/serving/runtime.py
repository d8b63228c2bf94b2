"""The runtime of the page: three files of npm's onnxruntime-web, fetched when a page is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from fairuse_router.documents import check_path

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def runtime_files(folder: str | os.PathLike[str] | None = None) -> dict[str, bytes]:
    """Return the files of the runtime by name.

    Parameters
    ----------
    folder : str or path, default=None
        Where they are: the package's ``dist``, or a folder that holds it. None: npm fetches them.

    Raises
    ------
    ValueError
        If they are not there.
    FileNotFoundError
        If there is no npm.
    OSError
        If npm cannot fetch them.
    """
    if folder is None:
        return _fetched()
    given = check_path(folder, "runtime")
    places = (
        given,
        given / "dist",
        given / PACKAGE / "dist",
        given / "node_modules" / PACKAGE / "dist",
    )
    home = next((p for p in places if all((p / name).is_file() for name in FILES)), None)
    if home is None:
        raise ValueError(
            f"runtime={str(folder)!r} does not hold {', '.join(FILES)}: name the folder in which "
            f"`npm install {PACKAGE}` was run."
        )
    return {name: (home / name).read_bytes() for name in FILES}


def _fetched() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            "the page's runtime comes from npm, which is not installed. Install Node.js, or pass "
            f"the folder of {PACKAGE} (--runtime)."
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--prefer-offline"]
        try:
            subprocess.run(
                [*command, "--silent"], cwd=folder, check=True, capture_output=True, timeout=300
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            told = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()
            why = told.splitlines()[0][:200] if told else str(error)
            raise OSError(
                f"npm cannot fetch {PACKAGE} {VERSION} ({why}). Try again, or pass a folder that "
                "holds it (--runtime)."
            ) from None
        (archive,) = Path(folder).glob("*.tgz")
        return _unpacked(archive)


def _unpacked(archive: Path) -> dict[str, bytes]:
    """The files out of npm's archive; nothing of it is written by its own names."""
    with tarfile.open(archive) as tar:
        found = {name: tar.extractfile(f"package/dist/{name}") for name in FILES}
        return {name: file.read() for name, file in found.items() if file is not None}
