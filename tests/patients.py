"""A CSV file of patients, and what the CLI says of it."""

import csv
import inspect

import numpy as np

from fairuse_router import FairUseRouter


def patients(n: int = 240, seed: int = 0) -> dict[str, list[str]]:
    """Columns of a CSV file; in one of four groups, x speaks the other way round."""
    rng = np.random.default_rng(seed)
    sex = np.tile(["1", "2", "1", "2"], n // 4)
    age = np.tile(["60, or more", "60, or more", '"young"', '"young"'], n // 4)
    x, z = rng.normal(size=(2, n))
    sign = np.where((sex == "2") & (age == "60, or more"), -1.0, 1.0)
    sick = 3 * sign * x + z + rng.normal(size=n) > 0
    ward = rng.choice(["Süd", "Nord", "the 'East'"], size=n)
    cells = {
        "größe, cm": [f"{v:.3f}" for v in x],
        "sex": sex.tolist(),
        "z": [f"{v:.3f}" for v in z],
        "age band": age.tolist(),
        'the "ward"': ward.tolist(),
        "outcome": np.where(sick, "sick", "well").tolist(),
    }
    for name, row in (("größe, cm", 5), ("z", 9), ('the "ward"', 11), ("sex", 17), ("sex", 23)):
        cells[name][row] = ""
    cells["z"][13] = "?"
    cells["age band"][19] = "?"
    return cells


def write_csv(path, columns, separator=","):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


GROUPS = ("--target", "outcome", "--groups", "sex,age band")


def refused(capsys, code, *words):
    """Only one line of error, which holds the words."""
    out, err = capsys.readouterr()
    last = err.strip().splitlines()[-1]
    assert last.startswith("fairuse-router: error: ") or "fairuse-router fit: error:" in last
    for word in words:
        assert word in last, last
    assert "Traceback" not in out + err
    if code == 1:
        assert len([line for line in err.splitlines() if "error" in line]) == 1


def router_default(name):
    return inspect.signature(FairUseRouter).parameters[name].default
