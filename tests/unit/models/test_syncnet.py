"""SyncNet's published network: its shapes, and the names and sizes of its parts."""

import torch

from stages.models.syncnet import SyncNet


def test_it_is_the_published_network():
    """Sizes of joonson/syncnet_python's ``SyncNetModel.S``."""
    with torch.device("meta"):
        network = SyncNet()
        faces = network.eval().embed_faces(torch.zeros(2, 3, 5, 224, 224))
        sound = network.embed_sound(torch.zeros(2, 1, 13, 20))
    assert faces.shape == sound.shape == (2, 1024)
    state = network.state_dict()
    for name, shape in {
        "netcnnaud.0.weight": (64, 1, 3, 3),
        "netcnnaud.4.weight": (192, 64, 3, 3),
        "netcnnaud.8.weight": (384, 192, 3, 3),
        "netcnnaud.11.weight": (256, 384, 3, 3),
        "netcnnaud.14.weight": (256, 256, 3, 3),
        "netcnnaud.18.weight": (512, 256, 5, 4),
        "netfcaud.0.weight": (512, 512),
        "netfcaud.1.running_mean": (512,),
        "netfcaud.3.weight": (1024, 512),
        "netcnnlip.0.weight": (96, 3, 5, 7, 7),
        "netcnnlip.4.weight": (256, 96, 1, 5, 5),
        "netcnnlip.8.weight": (256, 256, 1, 3, 3),
        "netcnnlip.14.weight": (256, 256, 1, 3, 3),
        "netcnnlip.18.weight": (512, 256, 1, 6, 6),
        "netfclip.3.bias": (1024,),
    }.items():
        assert tuple(state[name].shape) == shape, name
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_631_616
