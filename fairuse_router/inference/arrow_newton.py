"""Newton's method for regressions of groups that share a part: the Hessian is arrow-shaped.

Groups are linked through the shared part only, so that eliminating group by group costs m (d + 1)^3
instead of (m d)^3. Several penalties are fitted at once, along the leading axis of every array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ArrowProblem", "Minimum", "minimize"]

MAIN_RIDGE = 1.0  # on the shared slopes and on the main effects
_PRODUCTS = 2**23  # most products of features that are kept, 64 MB


@dataclass(frozen=True)
class Minimum:
    """Where K penalized objectives are least.

    Parameters
    ----------
    shared : ndarray of shape (K, p)
        Shared slopes, intercept, main effects of the attributes.
    own : ndarray of shape (K, m, d + 1)
        What each group adds of its own: d slopes and an intercept.
    second : ndarray of shape (K, m + 1, d + 1, d + 1)
        Curvature of the loss in each group's coefficients, at most one last short step away.
    loss : ndarray of shape (K, m + 1)
        Loss of the rows of each group; the last are those of no group.
    predicted : ndarray of shape (K, n)
        Prediction of each row, in the problem's order.
    """

    shared: np.ndarray
    own: np.ndarray
    second: np.ndarray
    loss: np.ndarray
    predicted: np.ndarray


class ArrowProblem:
    """Rows sorted by group, and the loss, its gradient and its curvature in every group.

    The last of the m + 1 groups is that of the rows without one. In a group all parameters act
    through its d + 1 joint coefficients, so that the moments of (x, 1) hold all that is needed.

    Parameters
    ----------
    x, groups, y, main, offset, weight, squared
        As for `fairuse_router.inference.multilevel_fit`.
    """

    def __init__(
        self,
        x: np.ndarray,
        groups: np.ndarray,
        y: np.ndarray,
        main: np.ndarray,
        offset: np.ndarray | None,
        weight: np.ndarray | None,
        squared: bool,
    ) -> None:
        self.m, self.d, self.squared = len(main), x.shape[1], squared
        place = np.where(groups < 0, self.m, groups)
        order = np.argsort(place, kind="stable")
        self.x1 = np.column_stack([x[order], np.ones(len(x))])
        self.y = np.asarray(y, dtype=np.float64)[order]
        self.offset = np.zeros(len(x)) if offset is None else offset[order]
        self.weight = np.ones(len(x)) if weight is None else weight[order]
        counts = np.bincount(place, minlength=self.m + 1)
        self.starts = np.cumsum(counts) - counts
        ends = np.cumsum(counts)
        filled = [(g, slice(e - c, e)) for g, (c, e) in enumerate(zip(counts, ends, strict=True))]
        self.slices = [(g, rows) for g, rows in filled if rows.stop > rows.start]
        constant = np.column_stack([np.ones(self.m), main])  # what multiplies (u0, a)
        none = np.concatenate([[1.0], np.zeros(main.shape[1])])
        self.constant = np.vstack([constant, none])
        ridge = [np.full(self.d, MAIN_RIDGE), np.zeros(1), np.full(main.shape[1], MAIN_RIDGE)]
        self.shared_ridge = np.concatenate(ridge)
        self._upper = np.triu_indices(self.d + 1)
        kept = len(x) * len(self._upper[0]) <= _PRODUCTS
        self._products = self._multiply() if kept else None

    def _multiply(self) -> np.ndarray:
        """Products of all pairs of columns, shape (n, (d + 1) (d + 2) / 2)."""
        out, start = np.empty((len(self.x1), len(self._upper[0]))), 0
        for i in range(self.d + 1):
            end = start + self.d + 1 - i
            np.multiply(self.x1[:, i:], self.x1[:, i, None], out=out[:, start:end])
            start = end
        return out

    def spread(self, shared: np.ndarray) -> np.ndarray:
        """Joint coefficients that the shared part (K, p) gives each group: (K, m + 1, d + 1)."""
        out = np.empty((len(shared), self.m + 1, self.d + 1))
        out[:, :, :-1] = shared[:, None, : self.d]
        out[:, :, -1] = shared[:, self.d :] @ self.constant.T
        return out

    def joint(self, shared: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Joint coefficients of shared and own part, shape (K, m + 1, d + 1)."""
        out = self.spread(shared)
        out[:, :-1] += own
        return out

    def collect(self, score: np.ndarray) -> np.ndarray:
        """Transpose of `spread`: from (K, m + 1, d + 1) to the shared part."""
        return np.hstack([score[:, :, : self.d].sum(axis=1), score[:, :, -1] @ self.constant])

    def sandwich(self, k: np.ndarray) -> np.ndarray:
        """Sum over groups of `spread`' M_g `spread`, M of shape (K, m + 1, d + 1, d + 1)."""
        d = self.d
        cross = np.swapaxes(k[:, :, :d, -1], 1, 2) @ self.constant
        corner = (self.constant.T * k[:, None, :, -1, -1]) @ self.constant
        top = np.concatenate([k[:, :, :d, :d].sum(axis=1), cross], axis=2)
        return np.concatenate([top, np.concatenate([np.swapaxes(cross, 1, 2), corner], 2)], axis=1)

    def loss(self, joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss of each group (K, m + 1), without penalties, and the prediction of each row (K, n).

        The prediction is a probability, or a number if the loss is half the squared error.
        """
        margin = np.empty((len(joint), len(self.y)))
        for g, rows in self.slices:
            np.matmul(joint[:, g], self.x1[rows].T, out=margin[:, rows])
        margin += self.offset
        if self.squared:
            return self._by_group(self.weight * (self.y - margin) ** 2 / 2), margin
        odds = np.exp(-np.abs(margin))
        loss = np.log(1 + odds)
        loss += np.maximum(margin, 0)
        loss -= self.y * margin
        loss *= self.weight
        p = np.where(margin < 0, odds, 1.0)
        p /= 1 + odds
        return self._by_group(loss), p

    def _by_group(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros((len(values), self.m + 1))
        filled = [g for g, _ in self.slices]
        if filled:
            out[:, filled] = np.add.reduceat(values, self.starts[filled], axis=1)
        return out

    def moments(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score (K, m + 1, d + 1) and curvature (K, m + 1, d + 1, d + 1) at some predictions."""
        width = self.d + 1
        residual = self.weight * (self.y - p)
        curvature = self.weight[None, :] if self.squared else self.weight * (p * (1 - p))
        score = np.zeros((len(p), self.m + 1, width))
        second = np.zeros((len(curvature), self.m + 1, width, width))
        i, j = self._upper
        for g, rows in self.slices:
            block = self.x1[rows]
            score[:, g] = residual[:, rows] @ block
            if self._products is not None:
                second[:, g, i, j] = curvature[:, rows] @ self._products[rows]
                second[:, g, j, i] = second[:, g, i, j]
            else:
                for c, out in zip(curvature[:, rows], second[:, g], strict=True):
                    np.matmul((block * c[:, None]).T, block, out=out)
        return score, np.broadcast_to(second, (len(p), *second.shape[1:]))


def minimize(
    problem: ArrowProblem,
    own_ridge: np.ndarray,
    start: Minimum | None = None,
    tol: float = 1e-4,
    max_iter: int = 25,
) -> Minimum:
    """Newton's method from a start, with steps halved where they do not help.

    Parameters
    ----------
    problem : ArrowProblem
    own_ridge : ndarray of shape (K, m, d + 1)
        Ridge on what each group has of its own, in each of the K objectives.
    start : Minimum, default=None
        Of one objective or of K; zero if None.
    tol : float, default=1e-4
        A step that promises less than this, in units of the objective, is the last.
    max_iter : int, default=25
        Most steps.
    """
    k, m, width = own_ridge.shape
    shared, own = np.zeros((k, len(problem.shared_ridge))), np.zeros((k, m, width))
    if start is not None:
        shared, own = shared + start.shared, own + start.own

    def price(shared: np.ndarray, own: np.ndarray) -> np.ndarray:
        return (shared**2 @ problem.shared_ridge + (own_ridge * own**2).sum(axis=(1, 2))) / 2

    if start is None:
        loss, p = problem.loss(problem.joint(shared[:1], own[:1]))
    else:
        loss, p = start.loss, start.predicted
    now = loss.sum(axis=1) + price(shared, own)
    for _ in range(max_iter):
        score, second = (np.broadcast_to(a, (k, *a.shape[1:])) for a in problem.moments(p))
        d_shared, d_own, promise = _step(problem, own_ridge, shared, own, score, second)
        size = np.ones(k)
        for _ in range(30):
            to_shared = shared + size[:, None] * d_shared
            to_own = own + size[:, None, None] * d_own
            loss, p = problem.loss(problem.joint(to_shared, to_own))
            new = loss.sum(axis=1) + price(to_shared, to_own)
            worse = new > now + 1e-12 * np.abs(now)
            if not worse.any():
                break
            size[worse] /= 2
        shared, own, now = to_shared, to_own, new
        if promise.max() < tol or problem.squared:
            break
    return Minimum(shared, own, second, loss, p)


def _step(
    problem: ArrowProblem,
    own_ridge: np.ndarray,
    shared: np.ndarray,
    own: np.ndarray,
    score: np.ndarray,
    second: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton step by elimination of the groups, and the gain that it promises, shape (K,)."""
    width = own.shape[2]
    g_own = score[:, :-1] - own_ridge * own
    g_shared = problem.collect(score) - problem.shared_ridge * shared
    inner = second[:, :-1]
    solved = np.linalg.solve(
        inner + own_ridge[..., None] * np.eye(width),
        np.concatenate([inner, g_own[..., None]], axis=3),
    )
    # what the group leaves to the shared part: M - M C^-1 M
    left = second.copy()
    left[:, :-1] -= inner @ solved[..., :width]
    schur = problem.sandwich(left) + np.diag(problem.shared_ridge)
    known = np.zeros_like(score)
    known[:, :-1] = (inner @ solved[..., width:])[..., 0]
    right = g_shared - problem.collect(known)
    d_shared = np.linalg.solve(schur, right[..., None])[..., 0]
    moved = problem.spread(d_shared)[:, :-1]
    d_own = solved[..., width] - (solved[..., :width] @ moved[..., None])[..., 0]
    promise = ((g_shared * d_shared).sum(axis=1) + (g_own * d_own).sum(axis=(1, 2))) / 2
    return d_shared, d_own, promise
