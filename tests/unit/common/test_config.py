import pytest

from facediff_cli.sections import config_types
from stages.common.config import StageConfig, load_config_file, preset_names, resolve_config
from stages.common.errors import ConfigError


class Optimizer(StageConfig):
    lr: float = 0.5
    betas: tuple[float, float] = (0.9, 0.99)


class Config(StageConfig):
    steps: int = 10
    name: str = "default"
    optimizer: Optimizer = Optimizer()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("toy: {steps: 20, optimizer: {lr: 0.25}}\nother: {unknown: 1}\n")
    return str(path)


def test_defaults_alone():
    assert resolve_config(Config, "toy") == Config()


def test_a_file_is_stronger_than_defaults_and_set_is_stronger_than_the_file(file):
    config = resolve_config(Config, "toy", file, ["steps=30", "optimizer.betas=[0.5, 0.6]"])
    assert config == Config(steps=30, optimizer=Optimizer(lr=0.25, betas=(0.5, 0.6)))


def test_the_last_set_wins():
    assert resolve_config(Config, "toy", None, ["steps=1", "steps=2"]).steps == 2


def test_set_does_not_change_the_file_for_others(file):
    resolve_config(Config, "toy", file, ["optimizer.lr=9"])
    assert load_config_file(file)["toy"]["optimizer"] == {"lr": 0.25}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("step=1", "setting step: .*did you mean steps"),
        ("steps=many", "setting steps: .*integer"),
        ("optimizer.momentum=1", r"setting optimizer\.momentum"),
        ("steps", "not of the form"),
        ("=3", "not of the form"),
        ("steps=[", "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        resolve_config(Config, "toy", None, [override])


@pytest.mark.parametrize(("content", "message"), [("- a", "must map"), ("a: [", "not valid YAML")])
def test_a_file_that_is_no_configuration(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_config_file(str(path))


def test_an_unknown_preset_lists_the_presets():
    with pytest.raises(ConfigError, match=r"no preset or file 'nope'.*Presets: .*mini"):
        load_config_file("nope")


def test_the_promised_presets_are_there():
    assert {"affectnet-128", "mini"} <= set(preset_names())


@pytest.mark.parametrize("preset", preset_names())
def test_every_section_of_every_preset_is_valid(preset):
    content = load_config_file(preset)
    types = config_types()
    assert set(content) <= set(types)
    for section in content:
        config = resolve_config(types[section], section, preset)
        assert type(config).model_validate(config.model_dump(mode="json")) == config
