import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.config import StageConfig, resolve_config


class Inner(StageConfig):
    level: int = 1
    flags: tuple[bool, ...] = ()


class Config(StageConfig):
    rate: float = 0.5
    name: str = "default"
    inner: Inner = Inner()


CONFIGS = st.builds(
    Config,
    rate=st.floats(allow_nan=False, allow_infinity=False),
    name=st.text(),
    inner=st.builds(Inner, level=st.integers(), flags=st.lists(st.booleans()).map(tuple)),
)


def as_overrides(config):
    return [
        f"rate={yaml.safe_dump(config.rate)}",
        f"name={yaml.safe_dump(config.name)}",
        f"inner.level={config.inner.level}",
        f"inner.flags={list(config.inner.flags)}",
    ]


@given(CONFIGS)
def test_every_configuration_can_be_written_as_settings(config):
    assert resolve_config(Config, "toy", None, as_overrides(config)) == config


@given(CONFIGS, st.randoms(use_true_random=False))
def test_settings_of_different_fields_have_no_order(config, random):
    overrides = as_overrides(config)
    assert resolve_config(Config, "toy", None, random.sample(overrides, len(overrides))) == config


@given(CONFIGS)
def test_a_resolved_configuration_resolves_to_itself(config):
    assert Config.model_validate(config.model_dump(mode="json")) == config
