"""The results of a study (thesis table 4.6): which pictures look more real, and whether emotions are recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stages.common.emotions import EDIT_TARGETS
from stages.common.errors import BadInputError
from stages.common.manifest import Counts
from stages.common.table import Column, Row, Table, Value
from stages.study.answers import Answers, answered, count_failed_checks
from stages.study.key import Comparison, Key, Question, Recognition
from stages.study.statistics import binomial_p, fleiss_kappa, wilson_interval

FAILED_CHECKS = "failed_attention_checks"
REPEATED = "answered_twice"
ALL = "all"
"""In place of an emotion: all of them together."""
_JUDGE = "a participant"
_KAPPA = Column("kappa", "agreement (Fleiss' kappa)", None, 2)
_REALISM = (Column("preferred", "preferred", "higher", 3), Column("p", "p (binomial)", None, 4), _KAPPA)
_RECOGNITION = (Column("accuracy", "accuracy", "higher", 3), _KAPPA)

Judgment = tuple[Question, str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """``participants`` are counted with the reasons why some were left out; a study has one table or both."""

    participants: Counts
    tables: tuple[Table, ...]


def analyse(key: Key, answers: Sequence[Answers]) -> Analysis:
    """Results of all who passed the attention checks. Raises ``BadInputError`` when nobody is left."""
    kept: list[Answers] = []
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    for given in answers:
        if given.participant in seen:
            left_out[REPEATED] += 1
        elif count_failed_checks(given, key) > key.max_failed_checks:
            left_out[FAILED_CHECKS] += 1
        else:
            kept.append(given)
        seen.add(given.participant)
    participants = Counts(total=len(answers), ok=len(kept), rejected_by_reason=dict(sorted(left_out.items())))
    if not kept:
        raise BadInputError(f"nobody is left of {_describe(participants)}")
    judgments = [judgment for given in kept for judgment in answered(given, key)]
    tables = (_realism(key.systems, judgments, participants), _recognition(key.systems, judgments, participants))
    return Analysis(participants, tuple(table for table in tables if table.rows))


def _realism(systems: Sequence[str], judgments: Sequence[Judgment], participants: Counts) -> Table:
    """One row a pair of systems: how often the first was preferred to the second."""
    rows = []
    for pair in combinations(systems, 2):
        preferred = [
            ((question.target, question.face), getattr(question, choice))
            for question, choice in judgments
            if isinstance(question, Comparison) and {question.left, question.right} == {*pair}
        ]
        if not preferred:
            continue
        hits = sum(system == pair[0] for _, system in preferred)
        values = {"preferred": _share(hits, len(preferred)), "p": Value(binomial_p(hits, len(preferred)))}
        values |= _agreement(preferred, pair)
        rows.append(Row({"system": pair[0], "against": pair[1]}, len(preferred), values))
    notes = (f"p: two-sided, against 0.5, not corrected for {len(rows)} pair(s)", _note(participants))
    return Table("Realism", ("system", "against"), _REALISM, tuple(rows), notes=notes)


def _recognition(systems: Sequence[str], judgments: Sequence[Judgment], participants: Counts) -> Table:
    """For each system a row an emotion, and one for all: how often participants saw the emotion that was meant."""
    rows = []
    for system in systems:
        of_system = [(q, choice) for q, choice in judgments if isinstance(q, Recognition) and q.system == system]
        shown = {question.target for question, _ in of_system}
        targets = [target for target in EDIT_TARGETS if target in shown]
        rows += [_recognised(system, t, [(q, c) for q, c in of_system if q.target == t]) for t in targets]
        if len(targets) > 1:
            rows.append(_recognised(system, ALL, of_system))
    return Table("Emotions", ("system", "target"), _RECOGNITION, tuple(rows), notes=(_note(participants),))


def _recognised(system: str, target: str, judgments: Sequence[tuple[Recognition, str]]) -> Row:
    hits = sum(choice == question.target for question, choice in judgments)
    said = Counter(choice for _, choice in judgments)
    values = {"accuracy": _share(hits, len(judgments))}
    if target == ALL:
        values |= _agreement([((q.target, q.face), choice) for q, choice in judgments], sorted(said))
        return Row({"system": system, "target": target}, len(judgments), values)
    shares = {word: count / len(judgments) for word, count in sorted(said.items())}
    return Row({"system": system, "target": target}, len(judgments), values, {_JUDGE: shares})


def _share(hits: int, total: int) -> Value:
    return Value(hits / total, wilson_interval(hits, total))


def _agreement(judged: Iterable[tuple[Hashable, str]], categories: Sequence[str]) -> dict[str, Value]:
    """Fleiss' kappa of (thing, category) judgments, if it is defined."""
    counts: dict[Hashable, Counter[str]] = {}
    for thing, category in judged:
        counts.setdefault(thing, Counter())[category] += 1
    kappa = fleiss_kappa(np.array([[c[category] for category in categories] for c in counts.values()], dtype=np.int64))
    return {} if kappa is None else {"kappa": Value(kappa)}


def _note(participants: Counts) -> str:
    return f"{participants.ok} of {_describe(participants)}"


def _describe(participants: Counts) -> str:
    reasons = ", ".join(f"{name} {count}" for name, count in participants.rejected_by_reason.items())
    return f"{participants.total} participant(s)" + (f" ({reasons})" if reasons else "")
