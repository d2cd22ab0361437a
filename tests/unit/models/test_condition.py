"""What a denoiser is told: batches of conditions, what is unknown in them, and their tokens."""

import torch

from stages.common.emotions import NULL_CLASS
from stages.models.condition import (
    COEFFICIENT_LIMIT,
    COEFFICIENT_TOKENS,
    UNHEARD,
    Condition,
    Context,
    ExpressionEmbedding,
    fold_geometry,
)

K, E, D = 5, 7, 16


def condition(count=2, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Condition(
        torch.arange(count) % 8,
        torch.rand(count, K, generator=random),
        torch.randn(count, E, generator=random),
        torch.rand(count, 6, 8, 8, generator=random),
    )


def embedding(coefficients=K, identity=E):
    torch.manual_seed(0)
    made = ExpressionEmbedding(coefficients, identity, D).requires_grad_(False)
    for part in made.parts.values():
        part.null.normal_()
    return made


def same(one, other):
    return all((a is None and b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_conditions_are_joined_and_repeated_in_order():
    one, two = condition(2), condition(3, seed=1)
    both = Condition.cat([one, two])
    assert len(both.labels_B) == 5
    for part, first, second in zip(both, one, two, strict=True):
        assert torch.equal(part, torch.cat([first, second]))
    assert same(one.repeat(2), Condition.cat([one, one]))
    labels = Condition(torch.tensor([1, 2]))
    assert same(labels.repeat(2), Condition(torch.tensor([1, 2, 1, 2])))


def test_a_condition_goes_to_a_device_whole():
    made = condition().to("meta")
    assert {part.device.type for part in made} == {"meta"}
    assert same(Condition(torch.tensor([1])).to("cpu"), Condition(torch.tensor([1])))


def test_without_an_expression_the_people_stay():
    told = condition()
    blank = told.without_expression(NULL_CLASS)
    assert blank.labels_B.tolist() == [NULL_CLASS] * 2
    assert blank.coefficients_BK.isnan().all()
    assert torch.equal(blank.identity_BE, told.identity_BE)
    assert not blank.geometry_BGSS.any()
    assert same(Condition(torch.tensor([3])).without_expression(8), Condition(torch.tensor([8])))
    assert told.coefficients_BK.isfinite().all()


def test_every_part_has_its_tokens():
    tokens = embedding()(condition())
    assert tokens.shape == (2, COEFFICIENT_TOKENS + 1, D)
    assert embedding(identity=0)(condition()).shape == (2, COEFFICIENT_TOKENS, D)
    assert embedding(coefficients=0)(condition()._replace(coefficients_BK=None)).shape == (2, 1, D)


def test_an_absent_part_and_a_row_of_nan_are_the_null_of_that_part_alone():
    embed, told = embedding(), condition()
    whole = embed(told)
    for name, place in (("coefficients_BK", slice(0, COEFFICIENT_TOKENS)), ("identity_BE", slice(-1, None))):
        absent = embed(told._replace(**{name: None}))
        values = getattr(told, name).clone()
        values[0, 0] = torch.nan
        partly = embed(told._replace(**{name: values}))
        other = torch.ones(COEFFICIENT_TOKENS + 1, dtype=torch.bool)
        other[place] = False
        assert torch.equal(absent[:, other], whole[:, other])
        assert torch.equal(absent[0, place], absent[1, place])
        assert torch.equal(partly[0], absent[0])
        assert torch.equal(partly[1], whole[1])
        assert not torch.equal(absent, whole)


def test_coefficients_count_in_what_is_usual_up_to_a_limit():
    embed = embedding()
    plain = embed(Condition(torch.tensor([0]), torch.full((1, K), 0.4)))
    embed.usual_K.fill_(0.5)
    assert torch.allclose(embed(Condition(torch.tensor([0]), torch.full((1, K), 0.2))), plain)
    most, beyond = (torch.full((1, K), 0.5 * COEFFICIENT_LIMIT * scale) for scale in (1, 3))
    assert torch.equal(embed(Condition(torch.tensor([0]), most)), embed(Condition(torch.tensor([0]), beyond)))


def test_a_coefficient_that_training_never_showed_is_not_heard():
    embed = embedding()
    embed.usual_K[2] = UNHEARD
    low, high = condition(), condition()
    high.coefficients_BK[:, 2] = 1.0
    assert torch.allclose(embed(low), embed(high), atol=1e-4)
    assert torch.isfinite(embed.usual_K.half()).all()


def test_folded_maps_keep_every_value():
    maps = condition().geometry_BGSS
    folded = fold_geometry(maps, 4)
    assert folded.shape == (2, 6 * 4, 4, 4)
    assert torch.equal(torch.nn.functional.pixel_shuffle(folded, 2), maps)
    assert torch.equal(fold_geometry(maps, 8), maps)


def test_contexts_are_joined_with_what_they_have():
    tokens, vector, maps = torch.randn(2, 3, D), torch.randn(2, D), torch.randn(2, 4, 4, 4)
    whole = Context.cat([Context(tokens, vector, maps)] * 2)
    assert len(whole) == 4
    assert torch.equal(whole.vector_BD, torch.cat([vector, vector]))
    assert torch.equal(whole.maps_BCHW, torch.cat([maps, maps]))
    plain = Context.cat([Context(tokens), Context(tokens)])
    assert (plain.vector_BD, plain.maps_BCHW) == (None, None)
