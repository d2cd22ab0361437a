"""Where a clip's transcript comes from, and what is said when there is none."""

import pytest

from stages.common.errors import BadInputError
from stages.evaluate.talk.transcripts import find_transcripts, read_table


class Texts:
    def __init__(self, **texts):
        self.keys, self._texts = tuple(texts), texts

    def aliases(self, key):
        return (key, f"s1/{key}")

    def text(self, key):
        return self._texts[key]


def test_a_clips_own_text_comes_before_a_systems():
    system = (Texts(x="of a system", y="and this"), {"a": "x", "b": "y"})
    found = find_transcripts(["a", "b"], Texts(a="Its own.", b=None), {"s": system}, None)
    assert found == {"a": "its own", "b": "and this"}


def test_a_table_comes_before_all(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("path,text\ns1/a.mpg,One two\nb,three\n")
    assert find_transcripts(["a", "b"], Texts(a="x", b="x"), {}, table) == {"a": "one two", "b": "three"}
    table.write_text("clip,text\na,one\n")
    with pytest.raises(BadInputError, match=r"1 of 2 clips have no transcript \(b\)"):
        find_transcripts(["a", "b"], Texts(a="x", b="x"), {}, table)
    table.write_text("name,text\na,one\n")
    with pytest.raises(BadInputError, match="line 2: no clip is named"):
        find_transcripts(["a"], Texts(a="x"), {}, table)
    with pytest.raises(BadInputError, match="is not a file"):
        read_table(tmp_path / "absent.csv")


def test_missing_and_empty_transcripts_are_named():
    with pytest.raises(BadInputError, match=r"2 of 3 clips have no transcript \(a, c\).*--transcripts"):
        find_transcripts("abc", Texts(a=None, b="x", c=None), {}, None)
    with pytest.raises(BadInputError, match=r"1 of 2 clips have an empty transcript \(a\)"):
        find_transcripts("ab", Texts(a=" ?! ", b="x"), {}, None)
