"""Where a sound is silent."""

import numpy as np

from stages.common.silence import frame_levels, pause_frames, silent_frames


def test_levels_are_those_of_equal_parts():
    np.testing.assert_allclose(frame_levels(np.repeat([0.1, 0.5], 640).astype(np.float32), 2), [0.1, 0.5], rtol=1e-6)


def test_a_pause_is_a_silence_of_five_frames_and_a_closure_is_none():
    levels = np.full(40, 0.2, np.float32)
    levels[5:9] = levels[20:27] = levels[38:] = 0.001
    assert silent_frames(levels).sum() == 13
    # At the ends of a sound its silence goes on.
    assert np.flatnonzero(pause_frames(levels)).tolist() == [22, 23, 24]
    levels[36:] = 0.001
    assert np.flatnonzero(pause_frames(levels)).tolist() == [22, 23, 24, 38, 39]
