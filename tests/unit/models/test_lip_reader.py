"""The lip reader: each clip is read as if it were alone, and texts from left to right."""

import pytest
import torch
from pydantic import ValidationError

from stages.models.conformer import RelativeAttention, shift_to_keys, sinusoids
from stages.models.lip_reader import LipReader, LipReaderConfig


def tiny_config(**changes):
    sizes = {
        "units": ("a", "b", "c"),
        "trunk_channels": (2, 3, 4, 5),
        "dim": 8,
        "heads": 2,
        "feedforward_dim": 12,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "kernel_size": 3,
        "dropout": 0.0,
    }
    return LipReaderConfig(**(sizes | changes))


@pytest.fixture
def reader():
    torch.manual_seed(0)
    model = LipReader(tiny_config()).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return model


@pytest.mark.parametrize("training", [False, True])
def test_what_lies_past_the_end_of_a_clip_changes_nothing(reader, training):
    reader.train(training)
    mouths = torch.randn(2, 7, 88, 88)
    lengths, starts = torch.tensor([7, 4]), torch.tensor([[4, 1], [4, 3]])
    seen, said = reader(mouths, lengths, starts)
    changed = mouths.clone()
    changed[1, 4:] = 9.0
    padded = torch.cat([changed, torch.full((2, 2, 88, 88), 5.0)], dim=1)
    seen_padded, said_padded = reader(padded, lengths, starts)
    assert torch.allclose(seen_padded[0, :7], seen[0], atol=1e-4)
    assert torch.allclose(seen_padded[1, :4], seen[1, :4], atol=1e-4)
    assert torch.allclose(said_padded, said, atol=1e-4)


def test_a_clip_of_a_batch_reads_as_alone(reader):
    mouths, lengths, starts = torch.randn(2, 6, 88, 88), torch.tensor([6, 3]), torch.tensor([[4, 2], [4, 1]])
    _, together = reader(mouths, lengths, starts)
    _, alone = reader(mouths[1:, :3], lengths[1:], starts[1:])
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_the_decoder_does_not_look_ahead(reader):
    features, lengths = torch.randn(1, 5, 8), torch.tensor([5])
    one = reader.next_logits(torch.tensor([[4, 1, 2]]), features, lengths)
    other = reader.next_logits(torch.tensor([[4, 1, 3]]), features, lengths)
    assert torch.allclose(one[:, :2], other[:, :2], atol=1e-6)
    assert not torch.allclose(one[:, 2], other[:, 2])


def test_the_first_layer_is_a_convolution_over_space_and_time(reader):
    mouths = torch.randn(1, 6, 88, 88)
    front = reader.front
    with torch.no_grad():
        volume = front.stem(mouths[:, None])[0].transpose(0, 1)
        expected = front.trunk(torch.max_pool2d(torch.nn.functional.silu(front.norm(volume)), 3, 2, 1)).mean((2, 3))
        found = front(mouths, torch.ones(1, 6, dtype=torch.bool))
    assert torch.allclose(found, expected, atol=1e-5)


def test_attention_weighs_content_and_distance():
    torch.manual_seed(1)
    attention, count, dim = RelativeAttention(6, 2), 4, 6
    x = torch.randn(1, count, dim)
    distances = torch.arange(count - 1, -count, -1)
    found = attention(x, sinusoids(distances, dim), torch.ones(1, count, dtype=torch.bool))
    query, key, value = (part(x)[0].view(count, 2, 3) for part in (attention.query, attention.key, attention.value))
    mixed = torch.zeros(count, 2, 3)
    for head in range(2):
        scores = torch.empty(count, count)
        for i in range(count):
            for j in range(count):
                place = attention.position(sinusoids(torch.tensor([i - j]), dim))[0].view(2, 3)[head]
                content = (query[i, head] + attention.content_bias[head]) @ key[j, head]
                scores[i, j] = content + (query[i, head] + attention.position_bias[head]) @ place
        mixed[:, head] = (scores / 3**0.5).softmax(1) @ value[:, head]
    assert torch.allclose(found[0], attention.out(mixed.flatten(1)), atol=1e-5)


def test_scores_by_distance_become_scores_by_key():
    distances = torch.tensor([2.0, 1.0, 0.0, -1.0, -2.0]).expand(1, 1, 3, 5)
    assert shift_to_keys(distances)[0, 0].tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


def test_the_default_sizes_are_those_of_the_public_reader():
    with torch.device("meta"):
        model = LipReader(LipReaderConfig(units=tuple(str(n) for n in range(5047))))
    # Auto-AVSR's video model with its 5,049 classes: 250.4 million weights.
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(250.4e6, rel=0.01)


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"kernel_size": 4}, {"units": ()}])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValidationError):
        tiny_config(**wrong)
