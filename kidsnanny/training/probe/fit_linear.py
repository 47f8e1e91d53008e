"""A linear probe by logistic regression, calibrated: one label against all that do not have it."""

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from kidsnanny.errors import DataError
from kidsnanny.probes.linear_probe import LinearProbe

FOLDS = 5
"""Parts of the examples; what calibrates a part was trained on the others."""
FEWEST = 2 * FOLDS
"""Examples that a label needs, and as many that do not have it."""
STRENGTH = 0.1
"""Of the fit against the penalty on large weights: scikit-learn's C."""


def fit_linear(
    embeddings: npt.NDArray[np.float32], has: npt.NDArray[np.bool_], labels: tuple[str, ...], seed: int = 0
) -> LinearProbe:
    """A probe with a probability for each label.

    The numbers of a row are scaled to mean 0 and deviation 1, the classes weigh the same, and a sigmoid (Platt's) on
    what each part of the examples gets from the other parts makes the scores into probabilities. All of that is affine,
    so that it goes into the weights.

    Args:
        embeddings: (N, d) rows of an encoder.
        has: (N, labels), whether an example has a label; it may have several or none.
        labels: their names, for the message.
        seed: of the parts.

    Raises:
        DataError: a label has too few examples, or too few do not have it.
    """
    check_enough(has, labels)
    scaler = StandardScaler().fit(embeddings)
    scaled = scaler.transform(embeddings)
    fitted = [_fit_one(scaled, column, seed) for column in has.T]
    weight = np.stack([one[0] for one in fitted]) / scaler.scale_
    bias = np.array([one[1] for one in fitted]) - weight @ scaler.mean_
    return LinearProbe(weight, bias)


def check_enough(has: npt.NDArray[np.bool_], labels: tuple[str, ...]) -> None:
    """Make sure that each label has enough examples, and that enough do not have it.

    Args:
        has: (N, labels), whether an example has a label.
        labels: their names, for the message.

    Raises:
        DataError: one has not.
    """
    for label, positive in zip(labels, has.sum(axis=0), strict=True):
        if min(positive, len(has) - positive) < FEWEST:
            raise DataError(
                f"{label}: {positive} of {len(has)} pictures have this label, and at least {FEWEST} must and {FEWEST} "
                "must not; give more, or leave the label out."
            )


def _fit_one(
    scaled: npt.NDArray[np.float64], has: npt.NDArray[np.bool_], seed: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Weights and bias of the logit of one label's probability."""
    regression = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1_000)
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found = CalibratedClassifierCV(regression, method="sigmoid", cv=parts, ensemble=False).fit(scaled, has)
    (one,) = found.calibrated_classifiers_
    (sigmoid,) = one.calibrators  # 1 / (1 + exp(a x + b))
    return -sigmoid.a_ * one.estimator.coef_[0], -(sigmoid.a_ * one.estimator.intercept_[0] + sigmoid.b_)
