"""The answer that several annotators come to, how sure it is, and how good each of them is.

Most samples have one answer and annotators have few, so a full table of confusions per annotator can't be learnt. Each annotator has one
accuracy here, shrunk towards what is common among all of them, and an answer that is wrong may be any of the others. Accuracies and
answers are found together by a variational expectation-maximisation, which keeps what is not known about the accuracies: somebody of
whom little is known moves the answer less than their mean accuracy says.

References
----------
Dawid, A. P., Skene, A. M. (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. Applied Statistics 28.
Liu, Q., Peng, J., Ihler, A. (2012). Variational inference for crowdsourcing. NeurIPS 25.
Simpson, E., Roberts, S., Psorakis, I., Smith, A. (2013). Dynamic Bayesian combination of multiple imperfect classifiers. Springer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, digamma, polygamma

COMMON_RIGHT, COMMON_WRONG = 18.0, 2.0
"""What is believed of annotators at large before any of them is known: right in nine of ten answers, as if twenty had been seen."""

STRENGTH = 10.0
"""How many answers of their own the common accuracy is worth to each annotator."""

UNKNOWN_TRUTH = -1

_FEWEST, _CLOSE = 2, 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Accuracies:
    """What is known of w annotators: each accuracy is Beta(right, wrong)."""

    right: NDArray[np.float64]
    """(w,)"""
    wrong: NDArray[np.float64]
    """(w,)"""

    @property
    def mean(self) -> NDArray[np.float64]:
        """(w,)"""
        return np.asarray(self.right / (self.right + self.wrong), np.float64)

    def interval(self, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(w,) lower and upper bounds; a little narrow, as variational posteriors are: of 95 % intervals 90 to 92 % hold the accuracy."""
        tail = (1 - level) / 2
        low, high = (betaincinv(self.right, self.wrong, share) for share in (tail, 1 - tail))
        return np.asarray(low, np.float64), np.asarray(high, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """Of n samples and m answers, classes numbered as in the answers."""

    label: NDArray[np.int64]
    """(n,) the most probable class, of equals the lowest number; UNKNOWN_TRUTH where nobody answered."""
    probability: NDArray[np.float64]
    """(n,) that it is the right one."""
    spread: NDArray[np.float64]
    """(n,) standard deviation of that probability, as the accuracies are not known exactly."""
    of_answer: NDArray[np.float64]
    """(m,) the probability that the class which the answer names is the right one."""
    accuracies: Accuracies


def consensus(
    samples: NDArray[np.int64],
    annotators: NDArray[np.int64],
    answers: NDArray[np.int64],
    *,
    classes: int,
    truth: NDArray[np.int64] | None = None,
    most_rounds: int = 100,
) -> Consensus:
    """The answers that one-coin annotators come to, by variational EM.

    With z_i the right class of sample i and a_j the accuracy of annotator j, an answer is z_i with probability a_j and each of the other
    k - 1 classes with probability (1 - a_j) / (k - 1). Given a_j ~ Beta(r_j, w_j),

        log q(z_i = c) = Σ_j [answer = c] E log a_j + [answer ≠ c] (E log(1 - a_j) - log(k - 1)) + const,

    and r_j, w_j are the answers of j that are right and wrong by expectation, added to `STRENGTH` answers at the common accuracy, which
    is itself estimated over all annotators from `COMMON_RIGHT`, `COMMON_WRONG`. `spread` follows from the variances of the log-odds,
    p (1 - p) √Σ_j (ψ'(r_j) + ψ'(w_j)), to first order.

    Assumes that annotators answer independently and are as good on one class as on another: where they share a misunderstanding their
    agreement is worth less than it says.

    Parameters
    ----------
    samples, annotators, answers : (m,) int64
        Of m answers the sample (0 to n - 1), who gave it (0 to w - 1), and which class (0 to k - 1).
    classes : int
        k, at least 2: how many answers there are to choose from.
    truth : (n,) int64, optional
        The right class where it is known (gold), UNKNOWN_TRUTH elsewhere.

    Examples
    --------
    Two annotators against one, where gold says who is careless:

    >>> samples = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    >>> who = np.array([0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1])
    >>> said = np.array([0, 1, 0, 2, 1, 1, 1, 2, 0, 0, 2])
    >>> gold = np.array([-1, 2, 1, 2, 0])
    >>> found = consensus(samples, who, said, classes=3, truth=gold)
    >>> int(found.label[0]), round(float(found.probability[0]), 2)
    (0, 0.98)
    >>> found.accuracies.mean.round(2)
    array([0.87, 0.6 , 0.82])
    """
    n, w = _sizes(samples, annotators, answers, classes, truth)
    known = np.full(n, UNKNOWN_TRUTH, np.int64) if truth is None else np.asarray(truth, np.int64)
    ballot = _Ballot.of(samples, answers, classes, known)
    several = np.bincount(samples, minlength=n)[samples] > 1
    telling = several | (known[samples] != UNKNOWN_TRUTH)  # one answer alone would agree with itself
    found = ballot.shares()
    accuracies = _learnt(found[ballot.pair], annotators, telling, w)
    for _ in range(most_rounds):
        before, found = found, ballot.believed(_weights(accuracies, classes)[annotators])
        accuracies = _learnt(found[ballot.pair], annotators, telling, w)
        if np.abs(found - before).max(initial=0.0) < _CLOSE:
            break
    label, probability = ballot.best(found)
    return Consensus(label, probability, _spread(probability, samples, accuracies, annotators), found[ballot.pair], accuracies)


@dataclass(frozen=True, slots=True, eq=False)
class _Ballot:
    """The p different (sample, answer) pairs; classes that nobody named of a sample are all alike and need no rows."""

    pair: NDArray[np.int64]
    """(m,) which pair each answer is."""
    sample: NDArray[np.int64]
    """(p,)"""
    label: NDArray[np.int64]
    """(p,)"""
    unnamed: NDArray[np.float64]
    """(n,) classes that nobody named."""
    known: NDArray[np.int64]
    """(n,)"""

    @classmethod
    def of(cls, samples: NDArray[np.int64], answers: NDArray[np.int64], classes: int, known: NDArray[np.int64]) -> _Ballot:
        pairs, pair = np.unique(samples * classes + answers, return_inverse=True)
        sample = pairs // classes
        return cls(pair.reshape(-1), sample, pairs % classes, classes - np.bincount(sample, minlength=len(known)).astype(float), known)

    def shares(self) -> NDArray[np.float64]:
        """(p,) of the votes."""
        votes = np.bincount(self.pair, minlength=len(self.sample)).astype(float)
        return self._with_truth(votes / np.bincount(self.sample, weights=votes, minlength=len(self.known))[self.sample])

    def believed(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p,) probabilities, by the log-odds (m,) that each answer adds to the class it names."""
        score = np.bincount(self.pair, weights=weights, minlength=len(self.sample))
        top = np.zeros(len(self.known))
        np.maximum.at(top, self.sample, score)
        mass = np.exp(score - top[self.sample])
        total = np.bincount(self.sample, weights=mass, minlength=len(self.known)) + self.unnamed * np.exp(-top)
        return self._with_truth(mass / total[self.sample])

    def best(self, found: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n,) classes and their probabilities."""
        label, probability = self.known.copy(), (self.known != UNKNOWN_TRUTH).astype(float)
        order = np.lexsort((-np.arange(len(found)), found))  # the likeliest last, so that it stays
        free = order[self.known[self.sample[order]] == UNKNOWN_TRUTH]
        label[self.sample[free]], probability[self.sample[free]] = self.label[free], found[free]
        return label, probability

    def _with_truth(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is known is certain."""
        known = self.known[self.sample]
        return np.where(known == UNKNOWN_TRUTH, found, known == self.label)


def _learnt(right: NDArray[np.float64], annotators: NDArray[np.int64], telling: NDArray[np.bool_], w: int) -> Accuracies:
    """What answers, right with these probabilities, tell of who gave them."""
    hits = np.bincount(annotators, weights=right * telling, minlength=w)
    misses = np.bincount(annotators, weights=(1 - right) * telling, minlength=w)
    common = (COMMON_RIGHT + hits.sum()) / (COMMON_RIGHT + COMMON_WRONG + hits.sum() + misses.sum())
    return Accuracies(STRENGTH * common + hits, STRENGTH * (1 - common) + misses)


def _weights(accuracies: Accuracies, classes: int) -> NDArray[np.float64]:
    """(w,) log-odds that an answer of each annotator adds to the class it names, in the mean over what their accuracy may be."""
    return np.asarray(digamma(accuracies.right) - digamma(accuracies.wrong) + np.log(classes - 1), np.float64)


def _spread(
    probability: NDArray[np.float64], samples: NDArray[np.int64], accuracies: Accuracies, annotators: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) standard deviations: the variances of the log-odds of those who answered, to first order."""
    variance = (polygamma(1, accuracies.right) + polygamma(1, accuracies.wrong))[annotators]
    return probability * (1 - probability) * np.sqrt(np.bincount(samples, weights=variance, minlength=len(probability)))


def _sizes(
    samples: NDArray[np.int64], annotators: NDArray[np.int64], answers: NDArray[np.int64], classes: int, truth: NDArray[np.int64] | None
) -> tuple[int, int]:
    if not len(samples) == len(annotators) == len(answers):
        raise ValueError(
            f"samples, annotators and answers are of {len(samples)}, {len(annotators)} and {len(answers)} answers; give one each"
        )
    if classes < _FEWEST:
        raise ValueError(f"classes is {classes}; there is nothing to choose between below {_FEWEST}")
    if len(answers) and not 0 <= int(answers.min()) <= int(answers.max()) < classes:
        raise ValueError(
            f"answers are numbers from {answers.min()} to {answers.max()}; of {classes} classes 0 to {classes - 1} are allowed"
        )
    n = len(truth) if truth is not None else int(samples.max(initial=-1)) + 1
    return n, int(annotators.max(initial=-1)) + 1
