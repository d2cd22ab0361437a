"""Block by block, the neighbours are those of one big comparison."""

import pytest
import torch

from stages.models.nearest import NearestNeighbors

RANDOM = torch.Generator().manual_seed(0)
ROWS, QUERIES = torch.randn(103, 7, generator=RANDOM), torch.randn(5, 7, generator=RANDOM)


@pytest.mark.parametrize("block", [1, 10, 103])
def test_blocks_do_not_matter(block):
    nearest = NearestNeighbors(QUERIES, 4)
    for start in range(0, len(ROWS), block):
        nearest.add(ROWS[start : start + block], start)
    expected = torch.cdist(QUERIES, ROWS).sort(dim=1)
    assert torch.equal(nearest.indices, expected.indices[:, :4])
    torch.testing.assert_close(nearest.distances, expected.values[:, :4], rtol=1e-4, atol=1e-4)


def test_a_row_itself_is_found_at_no_distance_and_the_first_of_equals_comes_first():
    nearest = NearestNeighbors(ROWS[:1], 2)
    nearest.add(ROWS[50:60], 50)
    nearest.add(torch.cat([ROWS[:1], ROWS[:1]]), 7)
    assert nearest.indices.tolist() == [[7, 8]]
    assert nearest.distances.max() < 1e-2


def test_what_is_not_there_yet_is_infinitely_far():
    nearest = NearestNeighbors(QUERIES, 3)
    nearest.add(ROWS[:2], 0)
    assert nearest.distances[:, 2].isinf().all()
    assert (nearest.indices[:, 2] == -1).all()
