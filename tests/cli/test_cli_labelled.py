"""Commands that need a bundle alone: audit, reaudit, update, verify, card."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from patients import refused
from sklearn.linear_model import LogisticRegression

from fairuse_router import Audit, Bundle, FairUseRouter, export_bundle
from fairuse_router.cli import main


@pytest.fixture(scope="module")
def served(many_rows, tmp_path_factory):
    """A bundle whose routes turn out to harm, a file of labelled rows, and what they came from."""
    folder = tmp_path_factory.mktemp("labelled")
    X, y = many_rows.frame, many_rows.y
    router = FairUseRouter(LogisticRegression(), many_rows.groups, cv=2).fit(X[:500], y[:500])
    audit = router.audit(X[500:], y[500:])
    path, data = folder / "r.onnx", folder / "rows.csv"
    export_bundle(router, path, X, audit=audit, precision="exact")
    X[500:].assign(sick=y[500:]).to_csv(data, index=False)
    turned = folder / "turned.csv"  # in one group, labels are the other way round
    here = (X["sex"] == "M") & (X["age"] == "old")
    X[500:].assign(sick=np.where(here, 1 - y, y)[500:]).to_csv(turned, index=False)
    return router, str(path), str(data), str(turned), audit


def test_audit_and_reaudit_print_what_the_router_says(served, many_rows, tmp_path, capsys):
    router, path, data, _, _ = served
    out = str(tmp_path / "audit.json")
    assert main(["audit", path, data, "--target", "sick", "--out", out]) == 0
    assert Bundle.load(path).audit(many_rows.frame[500:], many_rows.y[500:]) == Audit.from_json(
        (tmp_path / "audit.json").read_text(encoding="utf-8")
    )
    assert "Audit on 460 held-out rows" in capsys.readouterr().out
    assert main(["reaudit", path, data, "--target", "sick", "--alpha", "0.2"]) == 0
    expected = router.reaudit(many_rows.frame[500:], many_rows.y[500:], alpha=0.2)
    assert capsys.readouterr().out == f"{expected}\n"


def test_update_withdraws_what_is_violated_and_only_that(served, tmp_path, capsys):
    _, path, data, turned, _ = served
    out = str(tmp_path / "u.onnx")
    assert main(["update", path, data, "--target", "sick", "--out", out]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert main(["reaudit", path, turned, "--target", "sick"]) == 0
    assert f"To withdraw: update {path}" in capsys.readouterr().out.replace("\n", " ")
    assert main(["update", path, turned, "--target", "sick", "--out", out]) == 0
    assert "1 route went back to generic" in " ".join(capsys.readouterr().out.split())
    before, after = Bundle.load(path), Bundle.load(out)
    person = pd.DataFrame({"x": [1.0], "sex": ["M"], "z": [0.0], "age": ["old"]})
    assert before.route(person).candidate[0] != "generic"
    assert after.route(person).candidate[0] == "generic"
    assert [c.event for c in after.routing_table.history] == ["withdrawn"]
    assert "routed" not in after.held_out_.candidates  # of a routing that is gone


def test_verify_and_card(served, tmp_path, capsys):
    _, path, data, _, audit = served
    assert main(["verify", path, data]) == 0
    assert "460 rows under each of 9 reports" in " ".join(capsys.readouterr().out.split())
    out = tmp_path / "card.json"
    assert main(["card", path, "--out", str(out), "--title", "T"]) == 0
    assert json.loads(out.read_text(encoding="utf-8"))["audit"]["n"] == audit.n
    assert "no model has seen" in " ".join(capsys.readouterr().out.split())


def test_inspect_shows_the_claim_rather_than_the_choice(served, capsys):
    assert main(["inspect", served[1]]) == 0
    assert "Audit on 460 held-out rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audit", "R", "D", "--target", "no"], "--target 'no' is not a column"),
        (["audit", "R", "D", "--target", "x"], "the target 'x' holds"),
        (["reaudit", "R", "D", "--target", "sick", "--metric", "squared_error"], "classifier"),
        (["card", "R", "--out", "card.pdf"], "must end in .html, .md or .json"),
        (["verify", "R", "R"], "is no text in UTF-8"),
    ],
)
def test_refusals(served, words, message, capsys):
    paths = {"R": served[1], "D": served[2]}
    code = main([paths.get(word, word) for word in words])
    assert code in (1, 2)
    refused(capsys, code, message)


def test_none_of_them_needs_scikit_learn(served, tmp_path):
    _, path, data, _, _ = served
    code = (
        "import sys\n"
        "for name in ('sklearn', 'skl2onnx', 'pandas', 'joblib', 'onnx', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from fairuse_router.cli import main\n"
        f"asked = [{path!r}, {data!r}, '--target', 'sick']\n"
        f"for words in (['inspect', {path!r}], ['predict', *asked[:2]], ['audit', *asked],\n"
        f"    ['reaudit', *asked], ['verify', *asked[:2]],\n"
        f"    ['card', {path!r}, '--out', {str(tmp_path / 'c.html')!r}]):\n"
        "    assert main(words) == 0, words\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "c.html").is_file()
