"""Arguments of writing, updating, opening and verifying bundles: what is refused, and how."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from small_routers import LOGISTIC
from small_routers import router as small_router

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.bundle.file.arguments import TOLERANCES
from fairuse_router.bundle.update import update_bundle
from fairuse_router.card import Card


@pytest.fixture(scope="module")
def X(rows):
    return rows.frame


@pytest.fixture(scope="module")
def router(rows):
    return small_router(LOGISTIC).fit(rows.frame, rows.y)


@pytest.fixture(scope="module")
def written(router, X, tmp_path_factory):
    path = tmp_path_factory.mktemp("arguments") / "r.onnx"
    export_bundle(router, path, X)
    return path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "double"}, r"precision='double' .* \['fast', 'exact'\]"),
        ({"report": "ids"}, r"report='ids' .* \['texts', 'codes'\]"),
        ({"precision": "exact", "target_opset": {"ai.onnx.ml": 3}}, "precision='exact' needs"),
        ({"precision": "fast", "target_opset": {"ai.onnx.ml": 5}}, "precision='fast' needs"),
        ({"target_opset": "18"}, "target_opset='18' is not allowed: pass an integer from 16"),
        ({"tolerance": "tiny"}, "tolerance='tiny' is not allowed: pass a finite number"),
        ({"tolerance": -1e-6}, "tolerance=-1e-06 is not allowed"),
        ({"tolerance": np.nan}, "tolerance=nan is not allowed"),
        ({"tolerance": np.inf, "precision": "exact"}, "or None for 1e-09"),
        ({"max_checks": 0}, "max_checks=0 is not allowed: pass an integer of at least 1"),
        ({"max_checks": "many"}, "max_checks='many' is not allowed"),
        ({"min_cell": -1}, "min_cell=-1 is not allowed: pass an integer of at least 0"),
        ({"min_cell": 2.5}, "min_cell=2.5 is not allowed"),
        ({"min_cell": True}, "min_cell=True is not allowed"),
    ],
)
def test_settings_that_are_none(router, X, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_bundle(router, tmp_path / "r.onnx", X, **settings)
    assert not list(tmp_path.iterdir())


def test_tolerances_have_defaults_of_their_own(router, X, tmp_path):
    for precision, tolerance in TOLERANCES.items():
        certificate = export_bundle(router, tmp_path / "r.onnx", X, precision=precision)
        assert certificate["tolerance"] == tolerance
    mine = export_bundle(router, tmp_path / "r.onnx", X, tolerance=np.float32(0.5))
    assert mine["tolerance"] == 0.5


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (LogisticRegression().fit([[0], [1]], [0, 1]), "got LogisticRegression"),
        (FairUseRouter, "got the class FairUseRouter"),
        (None, "got NoneType"),
    ],
)
def test_other_things_than_routers(other, X, message, written, tmp_path):
    path, expected = tmp_path / "r.onnx", f"router must be a fitted FairUseRouter; {message}"
    with pytest.raises(TypeError, match=expected):
        export_bundle(other, path, X)
    with pytest.raises(TypeError, match=expected):
        update_bundle(other, written, path)
    if other is not None:
        with pytest.raises(TypeError, match=expected):
            Bundle.load(written).verify(X, other)


def test_arguments_in_another_order(router, X, written, tmp_path):
    message = r"must be the path of a file.*got {}\. Check the order of the arguments"
    with pytest.raises(TypeError, match="^path " + message.format("DataFrame")):
        export_bundle(router, X, tmp_path / "r.onnx")
    with pytest.raises(TypeError, match="^source " + message.format("NoneType")):
        update_bundle(router, None, tmp_path / "r.onnx")
    with pytest.raises(TypeError, match="^path " + message.format("bytes")):
        Bundle.load(written.read_bytes())
    with pytest.raises(TypeError, match="^path " + message.format("int")):
        Card.of(router).save(1)


def test_folders_are_no_files(router, X, written, tmp_path):
    for write in (
        lambda path: export_bundle(router, path, X),
        lambda path: update_bundle(router, written, path),
    ):
        with pytest.raises(ValueError, match="is a folder; name a file in it"):
            write(tmp_path)
        with pytest.raises(ValueError, match="its folder does not exist"):
            write(tmp_path / "none" / "r.onnx")
    with pytest.raises(ValueError, match="its folder does not exist"):
        Card.of(router).save(tmp_path / "none" / "card.md")


def test_updates_and_verifications_count(router, X, written, tmp_path):
    with pytest.raises(ValueError, match="min_cell='5' is not allowed"):
        update_bundle(router, written, tmp_path / "r.onnx", min_cell="5")
    with pytest.raises(ValueError, match="max_checks=0 is not allowed"):
        Bundle.load(written).verify(X, max_checks=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"session_options": 5}, "session_options=5 is not allowed: pass a dict"),
        ({"providers": "CPUExecutionProvider"}, "providers='CPUExec.* pass a sequence, such as"),
    ],
)
def test_settings_of_sessions(settings, message, written):
    with pytest.raises(TypeError, match=message):
        Bundle.load(written, **settings)


@pytest.mark.parametrize("label", [2**63, 2**64 - 1])
def test_labels_beyond_64_bits(label, rows, tmp_path):
    X, y = rows.frame, np.where(rows.y == 1, np.uint64(0), np.uint64(label))
    router = small_router(LOGISTIC).fit(X, y)
    with pytest.raises(ValueError, match="a bundle holds integers of 64 bits"):
        export_bundle(router, tmp_path / "r.onnx", X)
