"""``fairuse-router demo``: the whole job on the embedded heart disease data."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fairuse_router.audit import Audit
from fairuse_router.audit.temptation import temptations
from fairuse_router.cli.console import UsageError, paragraph, warnings_as_notes
from fairuse_router.cli.data import TrainingData, hold_out, require_pandas
from fairuse_router.cli.demo_texts import HEART
from fairuse_router.cli.fit import check_request, make_router, train, write
from fairuse_router.cli.page import how_to_open
from fairuse_router.cli.tablefile import STREAM
from fairuse_router.datasets import load_heart
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import get_metric
from fairuse_router.router import FairUseRouter
from fairuse_router.serving.page import write_page

_SHARE = 0.25


def run(args: argparse.Namespace) -> None:
    """Fit, show, audit, plan, explain, write, serve, put a page up."""
    check_request(args)
    if args.out == STREAM:
        raise UsageError("--out - does not go with demo, which talks on standard output")
    require_pandas()
    data = _heart()
    codes = GroupSchema.from_table(data.X, data.groups).encode(data.X)
    training, held = hold_out(data.y, codes, _SHARE, args.seed)
    X, y = data.X.iloc[training], data.y[training]
    X_test, y_test = data.X.iloc[held].reset_index(drop=True), data.y[held]
    print(_opening(args, data, len(training), len(held)), flush=True)
    print(f"\n1. What the policy {args.policy!r} decides\n")
    router = asked = _fit(make_router(args, data), X, y)
    step = 2
    rivals = len(router.candidates_) > 1  # else 'best' has nothing to choose from
    if rivals and not _routed(router) and args.policy != "best":
        print(f"\n{_NOBODY}\n\n2. What the policy 'best' would do: take the largest gain seen\n")
        router = _fit(make_router(args, data).set_params(policy="best"), X, y)
        step = 3
    print(f"\n{step}. Policy {router.policy!r} audited on people whom no model has seen\n")
    with warnings_as_notes():
        audit = router.audit(X_test, y_test)
    print(f"{audit}\n\n{_promises(router, audit)}\n\n{_left_to_gain(audit)}", flush=True)
    print(f"\n{step + 1}. What people need to be asked, and what one of them is told\n")
    print(f"{router.routing_table_.disclosure_plan()}\n")
    row = _whose_report_matters(router, X_test)
    print(router.explain(X_test.iloc[[row]]), flush=True)
    print(f"\n{_half_an_answer(asked, X_test.iloc[[row]])}", flush=True)
    print(f"\n{step + 2}. The bundle, served by onnxruntime without this package\n")
    print(write(router, args.out, data, audit), flush=True)
    print(_agreement(router, args.out, X_test))
    print(f"\n{_one_person(router, args.out, X_test, y_test)}")
    if router.policy != args.policy:
        print(f"\n{_FOR_SHOW}")
    print(f"\n{step + 3}. A page that asks only what helps\n")
    print(_page(args.out, training_data=data))
    print(f"\nNext: fairuse-router inspect {args.out}")


_NOBODY = paragraph(
    "Nobody need be asked for sex or age band: so few people prove no gain, and one model serves "
    "all of them."
)
_UNCERTAIN = (
    "So few people decide little: where an interval holds 0, gain and loss may both be luck."
)
_FOR_SHOW = paragraph(
    "The file holds the policy 'best' so that there is a report that matters to show. Deploy what "
    "the cautious policy decides."
)


def _heart() -> TrainingData:
    heart: Any = load_heart(as_frame=True)
    groups = list(heart.group_attributes)
    features = heart.data.drop(columns=groups)
    numbers = features.select_dtypes("number").columns.tolist()
    texts = [name for name in features.columns if name not in numbers]
    return TrainingData(heart.data, heart.target.to_numpy(), groups, numbers, texts)


def _page(bundle: str, training_data: TrainingData) -> str:
    """Write the page beside the bundle, and say how to open it, or what it lacks."""
    folder = f"{bundle.removesuffix('.onnx')}_form"
    X = training_data.X
    title = "Narrowed arteries?"
    choices = {name: sorted(X[name].dropna().unique()) for name in training_data.texts}
    try:
        write_page(bundle, folder, title=title, description=_PAGE, choices=choices, texts=HEART)
    except (ImportError, OSError) as error:
        return paragraph(f"It was not written: {error} Then: fairuse-router page {bundle}")
    return paragraph(f"Wrote {folder}. {how_to_open(folder)}")


_PAGE = "From eleven clinical facts of 303 patients of 1988: a demonstration, no medical device."


def _opening(args: argparse.Namespace, data: TrainingData, training: int, held: int) -> str:
    return paragraph(
        f"Cleveland heart disease data: {len(data.y)} people, {data.y.sum()} diseased; groups by "
        f"{' x '.join(data.groups)}; model: {args.estimator}. Training on {training} people; "
        f"{held} are held out, drawn at random within every group and class (seed {args.seed})."
    )


def _fit(router: FairUseRouter, X: Any, y: Any) -> FairUseRouter:
    train(router, X, y)
    print(router.routing_table_, flush=True)
    return router


def _routed(router: FairUseRouter) -> bool:
    """Whether any group is served by another model than generic."""
    return len(router.routing_table_.routes) > 1


def _promises(router: FairUseRouter, audit: Audit) -> str:
    """Gains that chose the routes beside those on people whom no model has seen."""
    metric = get_metric(router.metric)
    fresh = {r.group: r for r in audit.rationality if r.candidate == "routed"}
    lines = ["Gains over generic, when the routes were chosen and on new people:"]
    for name, record in zip(
        router.schema_.group_names(), router.routing_table_.groups, strict=True
    ):
        if record.candidate != "generic":
            seen, new = metric.format_gain(record.gain), metric.format_gain(fresh[name].gain)
            lines.append(f"  {name:<14}{seen:>7} then,{new:>7} on {fresh[name].n} new people")
    if len(lines) == 1:
        return paragraph("Generic serves everyone, so no group gains or loses.")
    lines.append(paragraph(_UNCERTAIN))
    return "\n".join(lines)


def _left_to_gain(audit: Audit) -> str:
    """What the deployed routing leaves to be gained by another report, on held-out people."""
    found = [t for t in temptations(audit) if t.gain is not None]
    shown = [t for t in found if t.kind == "gain left"]
    best = max(shown or found, key=lambda t: t.gain or 0.0, default=None)
    if best is None or not best.gain or best.gain < 0:
        return paragraph("By another report than its own no group would gain on these people.")
    gain = get_metric(best.metric).format_gain(best.gain)
    sure = (
        "It is shown, corrected for all comparisons."
        if shown
        else "It may be luck, as the best of many comparisons: none is shown."
    )
    return paragraph(
        f"Left to gain by another report than one's own: most for ({best.group}), {gain} on "
        f"{best.n} people by reporting ({best.report}). {sure}"
    )


def serve(path: str, X: Any, groups: list[str]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Ask a bundle for label and probabilities, by nothing but onnxruntime and numpy.

    Parameters
    ----------
    path : str
        The bundle; its inputs are called as the columns are.
    X : DataFrame of n rows
    groups : list of str
        Group attributes, in order.

    Returns
    -------
    label : ndarray of shape (n,)
    probabilities : ndarray of float32, shape (n, K)
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {"report": X[groups].to_numpy(dtype=object)}
    for entry in session.get_inputs():
        if entry.type == "tensor(float)":
            feed[entry.name] = X[[entry.name]].to_numpy(dtype=np.float32)
        elif entry.name != "report":
            feed[entry.name] = X[[entry.name]].fillna("").to_numpy(dtype=object)
    label, probabilities = session.run(["label", "probabilities"], feed)
    return label, probabilities


def _agreement(router: FairUseRouter, path: str, X: Any) -> str:
    """Compare the file with the router on held-out people under every report."""
    schema = router.schema_
    flips, gap = 0, 0.0
    for code in schema.report_codes:
        asked = X.assign(**dict(zip(schema.attributes, schema.report_texts(code), strict=True)))
        label, probabilities = serve(path, asked, list(schema.attributes))
        flips += int((label != router.predict(asked)).sum())
        gap = max(gap, float(np.abs(probabilities - router.predict_proba(asked)).max()))
    if flips:
        raise ValueError(f"{path} gives another label than the router for {flips} answers.")
    return paragraph(
        f"Served back to the {len(X)} held-out people under each of {schema.n_reports} reports, it "
        f"gives the router's labels; probabilities differ by at most {gap:.0e}."
    )


def _whose_report_matters(router: FairUseRouter, X: Any) -> int:
    """The first row that another model than generic serves; the first of all if there is none."""
    return int((router.route(X).candidate != "generic").argmax())


def _half_an_answer(router: FairUseRouter, told: Any) -> str:
    """What one person is told who answers the first question only."""
    first, *rest = router.schema_.attributes
    half = router.explain(told.assign(**dict.fromkeys(rest, "?")))
    return f"The same person tells {first} only, under the policy {router.policy!r}:\n{half}"


def _one_person(router: FairUseRouter, path: str, X: Any, y: Any) -> str:
    """Show one person's prediction with and without reporting."""
    groups = list(router.schema_.attributes)
    candidates = router.route(X).candidate
    row = _whose_report_matters(router, X)
    told = X.iloc[[row]]
    told_label, told_p = serve(path, told, groups)
    silent_label, silent_p = serve(path, told.assign(**dict.fromkeys(groups, "?")), groups)
    report = ", ".join(told[groups].to_numpy()[0])
    who = "The first held-out person"
    if candidates[row] != "generic":
        who += " whose report matters"
    lines = [f"{who} (truth: {_NAMES[int(y[row])]}):"]
    for said, model, label, p in (
        (report, candidates[row], told_label, told_p),
        ("?, ?", "generic", silent_label, silent_p),
    ):
        lines.append(
            f"  reports {said:<12} -> {model:<14} P(diseased) = {p[0, 1]:.3f}, "
            f"{_NAMES[int(label[0])]}"
        )
    return "\n".join(lines)


_NAMES = ("healthy", "diseased")
