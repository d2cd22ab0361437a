import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.hashing import canonical_json, hash_json, hash_listing

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda child: st.lists(child) | st.dictionaries(st.text(), child), max_leaves=20)


def reorder(value):
    """An equal value whose mappings are in another order."""
    if isinstance(value, dict):
        return {key: reorder(child) for key, child in reversed(value.items())}
    return [reorder(child) for child in value] if isinstance(value, list) else value


@given(JSON)
def test_equal_values_in_any_order_give_equal_bytes(value):
    assert canonical_json(reorder(value)) == canonical_json(value)


@given(JSON)
def test_canonical_json_loses_nothing(value):
    assert json.loads(canonical_json(value)) == value


@given(JSON, JSON)
def test_different_json_gives_different_hashes(a, b):
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (hash_json(a) == hash_json(b)) is same


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused(number):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"x": [number]})


@given(st.dictionaries(st.text(), st.text()).map(lambda d: list(d.items())), st.randoms(use_true_random=False))
def test_a_listing_has_no_order(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert hash_listing(shuffled) == hash_listing(entries)


@given(st.dictionaries(st.text(), st.text(), min_size=1), st.text())
def test_a_listing_notices_a_changed_entry(entries, replacement):
    name = min(entries)
    changed = entries | {name: replacement}
    assert (hash_listing(changed.items()) == hash_listing(entries.items())) is (changed == entries)
