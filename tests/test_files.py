"""Files that are written: whole or not at all, in their place and nowhere else."""

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from platforms import POSIX
from sklearn.linear_model import LogisticRegression

import fairuse_router
from fairuse_router import FairUseRouter, export_bundle
from fairuse_router.bundle import update_bundle
from fairuse_router.card import Card
from fairuse_router.documents import check_target, is_one_file, write_whole, writing


@pytest.fixture
def mask():
    """Rights that new files do not get, set for a while."""
    old = os.umask(0o027)
    yield 0o027
    os.umask(old)


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
def test_a_new_file_has_the_rights_that_open_gives(tmp_path, mask):
    write_whole(b"a", tmp_path / "new")
    assert rights(tmp_path / "new") == 0o666 & ~mask


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_a_file_that_is_replaced_keeps_its_rights(tmp_path, mode, mask):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(b"new", path)
    assert (path.read_bytes(), rights(path)) == (b"new", mode)


def test_nothing_in_the_package_sets_the_mask():
    sources = Path(fairuse_router.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "umask(" in path.read_text(encoding="utf-8")]


@POSIX
def test_a_link_is_replaced_and_what_it_leads_to_left_alone(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("precious")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("link", "dangling"):
        write_whole(b"new", tmp_path / name)
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"new"
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@POSIX
def test_the_temporary_file_cannot_be_foretold(tmp_path, monkeypatch):
    (tmp_path / "precious").write_bytes(b"precious")
    names = iter(["first", "second"])
    monkeypatch.setattr("fairuse_router.documents.secrets.token_hex", lambda n: next(names))
    (tmp_path / ".first.part").symlink_to("precious")  # as one who guessed it would
    write_whole(b"new", tmp_path / "out")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "out").read_bytes() == b"new"


def test_what_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "out").write_bytes(b"old")

    def fail():
        with writing(tmp_path / "out") as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out", b"old")]


@POSIX
def test_devices_pipes_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "pipe", tmp_path / "null"):
        with pytest.raises(ValueError, match="is a device, a pipe or a socket"):
            write_whole(b"a", path)
    with pytest.raises(ValueError, match="is a folder"):
        write_whole(b"a", tmp_path)
    with pytest.raises(ValueError, match="folder does not exist"):
        write_whole(b"a", tmp_path / "none" / "a")
    with pytest.raises(ValueError, match="is no name of a file"):
        check_target(tmp_path / ("a" * 300))
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_names_may_be_as_long_as_the_disk_allows(tmp_path):
    write_whole(b"a", tmp_path / ("a" * 250))
    assert [len(path.name) for path in tmp_path.iterdir()] == [250]


def test_two_at_once_leave_one_whole_file(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [
        threading.Thread(target=write_whole, args=(c, tmp_path / "out")) for c in contents * 5
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "out").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


@POSIX
def test_one_file_by_two_names(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "hard")
    assert is_one_file(tmp_path / "a", tmp_path / "link")
    assert is_one_file(tmp_path / "a", tmp_path / "hard")
    assert is_one_file(tmp_path / "new", tmp_path / "." / "new")
    assert not is_one_file(tmp_path / "a", tmp_path / "new")


@POSIX
def test_bundles_updates_and_cards_are_written_so(tmp_path):
    X = np.column_stack([np.tile([0.0, 1.0, 2.0], 40), np.arange(120) % 2])
    router = FairUseRouter(LogisticRegression(), [1], cv=2).fit(X, X[:, 0] > X[:, 1])
    path = tmp_path / "router.onnx"
    path.write_bytes(b"")
    path.chmod(0o640)
    export_bundle(router, path, X)
    update_bundle(router, path, path)
    assert rights(path) == 0o640
    for write in (
        lambda path: export_bundle(router, path, X),
        lambda path: update_bundle(router, tmp_path / "router.onnx", path),
        lambda path: Card.of(router).save(path),
    ):
        os.mkfifo(tmp_path / "pipe.md")
        with pytest.raises(ValueError, match="a device, a pipe"):
            write(tmp_path / "pipe.md")
        (tmp_path / "pipe.md").unlink()
