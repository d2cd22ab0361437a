"""What is kept in the user's cache."""

import numpy as np

from stages.common.kept import keep


def test_what_is_kept_is_found_once_and_damage_is_mended(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    asked = []

    def find():
        asked.append(1)
        return {"x": np.arange(3)}

    for content in ("a", "a", "b"):
        np.testing.assert_array_equal(keep("test", [content], find)["x"], [0, 1, 2])
    assert len(asked) == 2
    for path in (tmp_path / "home" / "test").rglob("*.npz"):
        path.write_bytes(b"damaged")
    keep("test", ["a"], find)
    assert len(asked) == 3
