"""From answers to tables: who is preferred, what is recognised, who is left out."""

import pytest
from support.study import answer_form

from stages.common.errors import BadInputError
from stages.study.analyse import ALL, FAILED_CHECKS, REPEATED, analyse
from stages.study.answers import parse_answers, read_answers
from stages.study.key import Comparison, Key, Recognition, WordCheck
from stages.study.statistics import binomial_p, wilson_interval


def prefer(*ranking):
    """The system that comes first in ``ranking``; emotions are taken for happy."""

    def decide(question):
        if isinstance(question, Recognition):
            return "happy"
        return min(("left", "right"), key=lambda side: ranking.index(getattr(question, side)))

    return decide


def give(key, *participants):
    return [parse_answers(content, key, "test") for content in participants]


def test_preferences_whatever_the_sides(key):
    decide = prefer("source", "ours", "other")
    analysis = analyse(key, give(key, *(answer_form(key, form, decide, form) for form in range(4))))
    realism, _ = analysis.tables
    found = {tuple(row.labels.values()): row for row in realism.rows}
    assert [*found] == [("ours", "other"), ("ours", "source"), ("other", "source")]
    shares = {pair: row.values["preferred"].mean for pair, row in found.items()}
    assert shares == {("ours", "other"): 1, ("ours", "source"): 0, ("other", "source"): 0}
    row = found["ours", "other"]
    assert row.samples == 8
    assert row.values["preferred"].interval_95 == wilson_interval(8, 8)
    assert row.values["p"].mean == pytest.approx(2 / 2**8) == binomial_p(8, 8)


def test_emotions_confusion_and_agreement(key):
    def decide(question):
        if isinstance(question, Comparison):
            return "left"
        return question.target if question.system == "ours" else "none"

    analysis = analyse(key, give(key, *(answer_form(key, form % 4, decide, form) for form in range(8))))
    table = analysis.tables[1]
    rows = {(row.labels["system"], row.labels["target"]): row for row in table.rows}
    assert [*rows] == [(s, t) for s in ("ours", "other") for t in ("happy", "sad", ALL)]
    assert {pair: row.values["accuracy"].mean for pair, row in rows.items() if pair[1] == ALL} == {
        ("ours", ALL): 1,
        ("other", ALL): 0,
    }
    assert rows["ours", "sad"].judged == {"a participant": {"sad": 1}}
    assert rows["other", "sad"].judged == {"a participant": {"none": 1}}
    assert rows["ours", ALL].values["kappa"].mean == pytest.approx(1)
    assert "kappa" not in rows["other", ALL].values, "who always says the same does not show agreement"
    assert rows["ours", ALL].samples == 16


def test_who_fails_the_checks_or_answers_twice_is_left_out_and_counted(key):
    decide = prefer("ours", "other", "source")
    careless = answer_form(key, 0, prefer("other", "ours", "source"), 1, failed_checks=2)
    slip = answer_form(key, 1, decide, 2, failed_checks=1)
    analysis = analyse(key, give(key, careless, slip, slip))
    assert analysis.participants.model_dump() == {
        "total": 3,
        "ok": 1,
        "rejected_by_reason": {FAILED_CHECKS: 1, REPEATED: 1},
    }
    assert analysis.tables[0].rows[0].values["preferred"].mean == 1
    assert "1 of 3 participant(s) (answered_twice 1, failed_attention_checks 1)" in analysis.tables[0].notes
    with pytest.raises(BadInputError, match=r"nobody is left of 1 participant\(s\) \(failed_attention_checks 1\)"):
        analyse(key, give(key, careless))


def test_a_study_of_one_kind_has_one_table(make_study):
    from stages.study.key import load_key

    key = load_key(make_study(emotions=0).root)
    assert not any(isinstance(q, WordCheck) for q in key.forms[0])
    analysis = analyse(key, give(key, answer_form(key, 0, prefer("ours", "other", "source"))))
    assert [table.title for table in analysis.tables] == ["Realism"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-5], "does not hold answers: content: "),
        (lambda c: c.replace(b'"study": "', b'"study": "x'), "another study"),
        (lambda c: c.replace(b'"form": 0', b'"form": 4'), "answers form 4, but there are 4"),
        (lambda c: c.replace(b'"form": 0', b'"form": -1'), "form: "),
        (lambda c: c.replace(b'"ms": 900', b'"ms": -1', 1), "answers.0.ms"),
        (lambda c: c.replace(b'"ms": 900', b'"ms": 900, "x": 1', 1), "answers.0.x: extra"),
        (lambda c: c.replace(b'"participant": "0', b'"participant": "../'), "participant"),
        (lambda c: c.replace(b'"choice": "left"', b'"choice": "happy"', 1), r"answers question \d+ by 'happy'"),
        (lambda c: c.replace(b', {"choice": "left", "ms": 900}', b"", 1), "has 13 answers to 14 questions"),
    ],
)
def test_answers_that_are_none(key: Key, change, message):
    content = answer_form(key, 0, lambda q: "left" if isinstance(q, Comparison) else "sad")
    assert change(content) != content
    with pytest.raises(BadInputError, match=message):
        parse_answers(change(content), key, "a.json")


def test_files_and_folders_are_read(key, tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    with pytest.raises(BadInputError, match="no answers in"):
        read_answers([folder], key)
    content = answer_form(key, 0, lambda q: "left" if isinstance(q, Comparison) else "sad")
    (folder / "b.json").write_bytes(content)
    (tmp_path / "a.json").write_bytes(content)
    assert len(read_answers([folder, tmp_path / "a.json"], key)) == 2
    with pytest.raises(BadInputError, match=r"absent.json cannot be read"):
        read_answers([tmp_path / "absent.json"], key)
