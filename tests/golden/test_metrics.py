"""Each metric gives what its reference implementation gives when called directly."""

import types

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio
from support.squeezenet import write_squeezenet

from stages.common.images import read_rgb
from stages.common.perceptual_weights import squeezenet_file
from stages.evaluate import fidelity
from stages.evaluate.fidelity import PictureSet, compare_sets
from stages.evaluate.pixels import PixelMetrics
from stages.models.perceptual import SQUEEZENET_NAME


@pytest.fixture(scope="module")
def pairs():
    """Four 64 px cuts of a photo, and the same with noise of growing strength; uint8 (4, 64, 64, 3)."""
    random = np.random.default_rng(0)
    a = np.stack([astronaut()[s : s + 64, 180 : 180 + 64] for s in (40, 80, 120, 160)])
    noise = random.normal(size=a.shape) * np.array([2, 5, 10, 20])[:, None, None, None]
    return a, (a + noise).round().clip(0, 255).astype(np.uint8)


def to_unit(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def test_psnr_and_ssim_are_piqs(pairs):
    piq = pytest.importorskip("piq")
    found = PixelMetrics(["psnr", "ssim"])(*pairs)
    for number, (a, b) in enumerate(zip(*(to_unit(p) for p in pairs), strict=True)):
        assert found["psnr"][number] == pytest.approx(float(piq.psnr(a[None], b[None], data_range=1.0)), abs=1e-3)
        assert found["ssim"][number] == pytest.approx(float(piq.ssim(a[None], b[None], data_range=1.0)), abs=1e-5)
        assert found["psnr"][number] == pytest.approx(
            peak_signal_noise_ratio(pairs[0][number], pairs[1][number]), abs=1e-2
        )


def test_lpips_is_that_of_its_package(pairs, tmp_path, monkeypatch):
    """With its learned heads on a random AlexNet: the published backbone is a download."""
    lpips = pytest.importorskip("lpips")
    with torch.device("meta"):
        features = torchvision.models.alexnet(weights=None).features
    features.to_empty(device="cpu")
    random = torch.Generator().manual_seed(0)
    for parameter in features.parameters():
        parameter.data.normal_(0, 0.05, generator=random)
    backbone = types.SimpleNamespace(features=features)
    monkeypatch.setattr(lpips.pn.tv, "alexnet", lambda **_: backbone)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    reference = lpips.LPIPS(net="alex", verbose=False).eval()
    a, b = (to_unit(p) * 2 - 1 for p in pairs)
    found = PixelMetrics(["lpips"])(*pairs)["lpips"]
    expected = reference(a, b).detach().flatten().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert (np.diff(found) > 0).all()


def test_distances_between_sets_are_torch_fidelitys_own_on_the_same_folders(tmp_path, monkeypatch):
    torch_fidelity = pytest.importorskip("torch_fidelity")
    pytest.importorskip("h5py")
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    write_squeezenet(squeezenet_file())
    random = np.random.default_rng(0)
    sets = []
    for name, spread in (("generated", 256), ("real", 128)):
        (tmp_path / name).mkdir()
        for number in range(8):
            pixels = random.integers(0, spread, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
        paths = sorted((tmp_path / name).iterdir())
        sets.append(PictureSet(name, 8, lambda n, paths=paths: read_rgb(paths[n])))
    names = ("fd_squeezenet", "kd_squeezenet", "precision_squeezenet", "recall_squeezenet")
    found = compare_sets(*sets, names, seed=7)
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "generated"),
        input2=str(tmp_path / "real"),
        fid=True,
        kid=True,
        prc=True,
        feature_extractor=SQUEEZENET_NAME,
        kid_subset_size=8,
        rng_seed=7,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    keys = ("frechet_inception_distance", "kernel_inception_distance_mean", "precision", "recall")
    assert [found[name] for name in names] == pytest.approx([expected[key] for key in keys], rel=1e-5)
    assert found["fd_squeezenet"] > 0


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """Random weights of torch-fidelity's Inception; activations keep their size on the way."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)
    network_type = module.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(network_type, "load_state_dict", lambda *_: None)
        network = network_type("random", ["2048"], feature_extractor_weights_path=str(path))
    for weight in network.parameters():
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight, generator=torch.Generator().manual_seed(weight.numel()))
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def random_vgg(tmp_path_factory):
    """Random weights of VGG-16, in little space: the large ones are overlapping parts of a vector."""
    path = tmp_path_factory.mktemp("vgg") / "weights.pth"
    random, state = torch.Generator().manual_seed(0), {}
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in torchvision.models.vgg16(weights=None).state_dict().items()}
    for name, shape in shapes.items():
        if len(shape) == 2:
            vector = torch.randn(shape[0] + 7 * shape[1], generator=random) * (2 / shape[1]) ** 0.5
            state[name] = vector.as_strided(shape, (1, 7))
        else:
            spread = (2 / max(1, shape[1:].numel())) ** 0.5 if len(shape) == 4 else 0.01
            state[name] = torch.randn(shape, generator=random) * spread
    torch.save(state, path)
    return path


@pytest.fixture
def two_sets(tmp_path):
    """Folders of five small photos, which differ, and the same as sets."""
    random, photo, sets = np.random.default_rng(0), astronaut(), []
    for name, shift, noise in (("generated", 0, 20), ("real", 40, 5)):
        (tmp_path / name).mkdir()
        for number in range(5):
            cut = photo[shift + 16 * number :, 150 + 8 * number :][:32, :32]
            pixels = (cut + random.normal(scale=noise, size=cut.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
        paths = sorted((tmp_path / name).iterdir())
        sets.append(PictureSet(name, 5, lambda n, paths=paths: read_rgb(paths[n])))
    return tmp_path, sets


def by_torch_fidelity(folder, extractor, weights, **metrics):
    torch_fidelity = pytest.importorskip("torch_fidelity")
    return torch_fidelity.calculate_metrics(
        input1=str(folder / "generated"),
        input2=str(folder / "real"),
        feature_extractor=extractor,
        feature_extractor_weights_path=str(weights),
        kid_subset_size=5,
        isc_splits=5,
        rng_seed=7,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        **metrics,
    )


def test_fid_kid_and_is_are_torch_fidelitys_on_the_same_inception(two_sets, random_inception, monkeypatch):
    folder, sets = two_sets
    monkeypatch.setenv("FACEDIFF_HOME", str(folder / "home"))
    monkeypatch.setattr(fidelity, "require_expert", {"inception": random_inception}.__getitem__)
    found = compare_sets(*sets, ("fid", "kid", "is"), seed=7)
    expected = by_torch_fidelity(folder, "inception-v3-compat", random_inception, fid=True, kid=True, isc=True)
    assert found["fid"] == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert found["is"] == pytest.approx(expected["inception_score_mean"], rel=1e-4)
    assert found["fid"] > 0


def test_precision_and_recall_are_torch_fidelitys_on_the_same_vgg(two_sets, random_vgg, monkeypatch):
    folder, sets = two_sets
    monkeypatch.setenv("FACEDIFF_HOME", str(folder / "home"))
    monkeypatch.setattr(fidelity, "require_expert", {"vgg16": random_vgg}.__getitem__)
    found = compare_sets(*sets, ("precision", "recall"), seed=7)
    expected = by_torch_fidelity(folder, "vgg16", random_vgg, prc=True)
    assert [found["precision"], found["recall"]] == [expected["precision"], expected["recall"]]
