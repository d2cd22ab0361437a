"""An imported lip reader computes what the published code computes."""

import pytest
import torch
from support.vsr import UNITS, elder_names, make_twin, read

from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.lip_reader_checkpoint import load_lip_reader
from stages.convert.run import describe_checkpoint
from stages.convert.vsr import VSR, VsrConfig


@pytest.fixture(scope="module")
def twin():
    torch.manual_seed(0)
    return make_twin()


@pytest.fixture
def convert(tmp_path):
    def run(content, units=UNITS):
        torch.save(content, tmp_path / "reader.pth")
        (tmp_path / "units.txt").write_text("".join(f"{unit} {n}\n" for n, unit in enumerate(units, 1)), "utf-8")
        sources = {
            role: describe_checkpoint(tmp_path / name)
            for role, name in (("checkpoint", "reader.pth"), ("units", "units.txt"))
        }
        return execute(VSR, VsrConfig(), sources, tmp_path / "reader")

    return run


def as_saved(state):
    return state


def as_trained(state):
    return {"state_dict": {f"model.{name}": value for name, value in state.items()}, "epoch": 3}


@pytest.mark.parametrize("naming", [as_saved, as_trained, elder_names])
def test_the_same_numbers_come_out(convert, twin, naming):
    reader = load_lip_reader(convert(naming(twin.state_dict())).root)
    assert reader.config.units == UNITS
    mouths, prefix = torch.randn(6, 88, 88), torch.tensor([5, 1, 4])
    expected_ctc, expected_next = read(twin, mouths, prefix)
    ctc, following = reader(mouths[None], torch.tensor([6]), prefix[None])
    assert torch.allclose(ctc[0], expected_ctc, atol=1e-4)
    assert torch.allclose(following[0], expected_next, atol=1e-4)


def test_a_list_of_other_units_is_refused(convert, twin):
    with pytest.raises(BadInputError, match="knows 4 units, the list has 3"):
        convert(twin.state_dict(), UNITS[:3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.encoders.1.norm_ff.bias"), "second_norm.bias is missing"),
        (lambda s: s.pop("decoder.decoders.0.src_attn.linear_k.bias"), "multihead_attn.in_proj_bias"),
        (lambda s: s.pop("ctc.ctc_lo.weight"), "no ctc.weight"),
        (lambda s: s.update({"lm.weight": torch.zeros(1)}), "unknown array lm.weight"),
        (lambda s: s.update({"frontend.trunk.layer1.0.relu1.weight": torch.zeros(2)}), "relu1.weight"),
    ],
)
def test_another_network_is_refused_and_named(convert, twin, change, message):
    state = dict(twin.state_dict())
    change(state)
    with pytest.raises(BadInputError, match=message):
        convert(state)


def test_a_list_that_is_none_is_refused(convert, twin):
    with pytest.raises(BadInputError, match="lists no units"):
        convert(twin.state_dict(), ())
