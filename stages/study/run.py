"""Make a study (thesis 4.6): a page that asks people how real pictures of several systems look, and what they show."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from stages.common.emotions import EDIT_TARGETS
from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.hashing import canonical_json, hash_json
from stages.common.manifest import Artifact, ArtifactKind, Counts, write_atomically
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.study.config import StudyConfig
from stages.study.forms import choose_faces, make_forms, word_orders
from stages.study.key import KEY_NAME, NONE_OF_THESE, Comparison, Form, Key, Question, Recognition, SideCheck
from stages.study.pictures import SOURCE, PictureWriter, match_pictures

PAGE = "page"
"""The folder that participants get. What lies beside it tells which system is which."""
_STATIC = ("index.html", "page.js", "style.css")


def run(config: StudyConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Check that every system has every picture, deal the questions, and write the page and its key."""
    pictures = match_pictures(inputs, config.targets)
    if config.emotions:
        _require_choices(pictures.targets)
    faces = choose_faces(pictures.faces, config.faces, context.seed)
    systems = (*config.targets, *([SOURCE] if config.with_source else []))
    forms = make_forms(config, pictures.targets, faces, systems, context.seed)
    page = context.out / PAGE
    (page / "pictures").mkdir(parents=True, exist_ok=True)
    writer = PictureWriter(page / "pictures", pictures)
    try:
        asked = _ask(forms, writer, context)
    except BadInputError:
        shutil.rmtree(page)  # nothing is left that a run with mended pictures could not continue
        raise
    content = {"title": config.title, "intro": config.intro, "forms": asked}
    study = hash_json(content)
    _write_page(page, {"study": study, **content})
    key = Key(study=study, systems=systems, max_failed_checks=config.max_failed_checks, forms=tuple(forms))
    write_atomically(context.out / KEY_NAME, key.model_dump_json(indent=1).encode() + b"\n")
    metrics = {"questions_per_form": len(forms[0]), "forms": len(forms), "pictures": writer.count}
    return ArtifactDraft(Counts(total=len(pictures.paths), ok=len(pictures.paths)), metrics)


_STUDY = StageSpec("study", 1, StudyConfig, {SOURCE: ArtifactKind.SOURCE}, ArtifactKind.STUDY, run)


def study_spec(systems: Sequence[str]) -> StageSpec[StudyConfig]:
    """The stage for these systems, each of which is an input. Raises ``ConfigError`` for a name that is taken."""
    if SOURCE in systems or len(set(systems)) < len(systems):
        raise ConfigError(f"--system names must differ from one another and from {SOURCE!r}")
    return replace(_STUDY, inputs={**_STUDY.inputs, **dict.fromkeys(systems, ArtifactKind.SOURCE)})


def _require_choices(targets: Sequence[str | None]) -> None:
    hint = "Or ask only about realism: --emotions 0"
    others = [target for target in targets if target not in EDIT_TARGETS]
    if others == [None]:
        raise ConfigError("which emotion the pictures show is not known", f"Give NAME=DIR:EMOTION. {hint}")
    if others:
        raise ConfigError(f"participants choose among {', '.join(EDIT_TARGETS)}, not {others[0]}", hint)


def _ask(forms: Sequence[Form], writer: PictureWriter, context: RunContext) -> list[dict[str, Any]]:
    """What the page needs of each form; writes the pictures."""
    asked = []
    with context.progress.task("forms", len(forms)) as task:
        for form, words in zip(forms, word_orders(len(forms), context.seed), strict=True):
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again to start over")
            asked.append({"words": [*words, NONE_OF_THESE], "questions": [_show(q, writer) for q in form]})
            task.advance()
    return asked


def _show(question: Question, writer: PictureWriter) -> dict[str, Any]:
    """What the page needs of a question, and nothing that tells which system is which."""
    if isinstance(question, Comparison):
        sides = {side: getattr(question, side) for side in ("left", "right")}
        return {side: writer.show(system, question.target, question.face) for side, system in sides.items()}
    if isinstance(question, Recognition):
        return {"picture": writer.show(question.system, question.target, question.face)}
    if isinstance(question, SideCheck):
        real, wreck = writer.show(SOURCE, None, question.face), writer.show_wreck(question.face)
        return {"left": real, "right": wreck} if question.expected == "left" else {"left": wreck, "right": real}
    return {"word": question.expected}


def _write_page(page: Path, content: Mapping[str, Any]) -> None:
    # A script, not JSON: a page that is opened as a file may load the one, but not the other.
    write_atomically(page / "study.js", b"const STUDY = " + canonical_json(content) + b";\n")
    for name in _STATIC:
        write_atomically(page / name, resources.files("stages.study").joinpath("page", name).read_bytes())
