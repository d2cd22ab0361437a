"""A lip reader with the parameter names of public checkpoints, computed step by step as their papers say."""

import math

import torch
import torch.nn.functional as F
from torch import nn

UNITS = ("'", "A", "B", "\u2581A")
DIM, HEADS, HIDDEN, KERNEL, CHANNELS = 8, 2, 12, 5, (2, 3, 4, 6)


def module(**parts):
    """A module that only names its parts."""
    named = nn.Module()
    for name, part in parts.items():
        setattr(named, name, part)
    return named


def feedforward():
    return module(w_1=nn.Linear(DIM, HIDDEN), w_2=nn.Linear(HIDDEN, DIM))


def attention(*, relative=False):
    parts = {f"linear_{name}": nn.Linear(DIM, DIM) for name in ("q", "k", "v", "out")}
    named = module(**parts)
    if relative:
        named.linear_pos = nn.Linear(DIM, DIM, bias=False)
        named.pos_bias_u, named.pos_bias_v = (nn.Parameter(torch.randn(HEADS, DIM // HEADS)) for _ in range(2))
    return named


def norms(*names):
    return {name: nn.LayerNorm(DIM, eps=1e-12) for name in names}


def block(narrow, wide, stride):
    parts = module(
        conv1=nn.Conv2d(narrow, wide, 3, stride, 1, bias=False),
        bn1=nn.BatchNorm2d(wide),
        conv2=nn.Conv2d(wide, wide, 3, 1, 1, bias=False),
        bn2=nn.BatchNorm2d(wide),
    )
    if stride > 1 or narrow != wide:
        parts.downsample = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
    return parts


def encoder_layer():
    convolution = module(
        pointwise_cov1=nn.Conv1d(DIM, 2 * DIM, 1),
        depthwise_conv=nn.Conv1d(DIM, DIM, KERNEL, padding=KERNEL // 2, groups=DIM),
        norm=nn.BatchNorm1d(DIM),
        pointwise_cov2=nn.Conv1d(DIM, DIM, 1),
    )
    return module(
        self_attn=attention(relative=True),
        feed_forward=feedforward(),
        feed_forward_macaron=feedforward(),
        conv_module=convolution,
        **norms("norm_ff", "norm_mha", "norm_ff_macaron", "norm_conv", "norm_final"),
    )


def decoder_layer():
    return module(
        self_attn=attention(), src_attn=attention(), feed_forward=feedforward(), **norms("norm1", "norm2", "norm3")
    )


def make_twin():
    """A public reader of video with random weights and random statistics, in eval mode."""
    widths = (CHANNELS[0], *CHANNELS)
    levels = {
        f"layer{n + 1}": nn.ModuleList(
            [block(widths[n], widths[n + 1], 1 + (n > 0)), block(widths[n + 1], widths[n + 1], 1)]
        )
        for n in range(4)
    }
    classes = len(UNITS) + 2
    stem = nn.Sequential(
        nn.Conv3d(1, CHANNELS[0], (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
        nn.BatchNorm3d(CHANNELS[0]),
        nn.SiLU(),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    )
    twin = module(
        frontend=module(frontend3D=stem, trunk=module(**levels)),
        proj_encoder=nn.Linear(CHANNELS[-1], DIM),
        encoder=module(encoders=nn.ModuleList([encoder_layer() for _ in range(2)]), **norms("after_norm")),
        decoder=module(
            embed=nn.Sequential(nn.Embedding(classes, DIM)),
            decoders=nn.ModuleList([decoder_layer()]),
            output_layer=nn.Linear(DIM, classes),
            **norms("after_norm"),
        ),
        ctc=module(ctc_lo=nn.Linear(DIM, classes)),
    ).eval()
    for part in twin.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
        if isinstance(part, nn.LayerNorm | nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return twin


def wave(position):
    """The embedding of one place or distance."""
    angles = [position / 10_000 ** (2 * (n // 2) / DIM) for n in range(DIM)]
    return torch.tensor([math.cos(a) if n % 2 else math.sin(a) for n, a in enumerate(angles)])


def run_block(part, x):
    out = part.bn2(part.conv2(F.silu(part.bn1(part.conv1(x)))))
    return F.silu(out + (part.downsample(x) if hasattr(part, "downsample") else x))


def attend(part, query, key, allowed, *, relative=False):
    """(T, D) to (T, D), one head and one pair of places after the other."""
    q, k, v = part.linear_q(query), part.linear_k(key), part.linear_v(key)
    size, heads = DIM // HEADS, []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        scores = torch.full((len(q), len(k)), -math.inf)
        for i in range(len(q)):
            for j in range(len(k)):
                if allowed(i, j):
                    scores[i, j] = q[i, own] @ k[j, own]
                    if relative:
                        place = part.linear_pos(wave(i - j))[own]
                        scores[i, j] += part.pos_bias_u[head] @ k[j, own] + (q[i, own] + part.pos_bias_v[head]) @ place
        heads.append((scores / math.sqrt(size)).softmax(1) @ v[:, own])
    return part.linear_out(torch.cat(heads, 1))


def run_feedforward(part, x):
    return part.w_2(part.w_1(x).relu())


def run_encoder_layer(part, x):
    x = x + run_feedforward(part.feed_forward_macaron, part.norm_ff_macaron(x)) / 2
    normed = part.norm_mha(x)
    x = x + attend(part.self_attn, normed, normed, lambda _i, _j: True, relative=True)
    convolution = part.conv_module
    gated, gate = convolution.pointwise_cov1(part.norm_conv(x).T[None]).chunk(2, 1)
    mixed = F.silu(convolution.norm(convolution.depthwise_conv(gated * gate.sigmoid())))
    x = x + convolution.pointwise_cov2(mixed)[0].T
    return part.norm_final(x + run_feedforward(part.feed_forward, part.norm_ff(x)) / 2)


@torch.no_grad()
def read(twin, mouths_THW, prefix):
    """The logits of CTC (T, V), and of what follows each unit of ``prefix`` (L, V)."""
    x = twin.frontend.frontend3D(mouths_THW[None, None])[0].transpose(0, 1)
    for n in range(1, 5):
        for part in getattr(twin.frontend.trunk, f"layer{n}"):
            x = run_block(part, x)
    x = twin.proj_encoder(x.mean((2, 3))) * math.sqrt(DIM)
    for layer in twin.encoder.encoders:
        x = run_encoder_layer(layer, x)
    features = twin.encoder.after_norm(x)
    y = twin.decoder.embed(prefix) * math.sqrt(DIM) + torch.stack([wave(n) for n in range(len(prefix))])
    for layer in twin.decoder.decoders:
        normed = layer.norm1(y)
        y = y + attend(layer.self_attn, normed, normed, lambda i, j: j <= i)
        y = y + attend(layer.src_attn, layer.norm2(y), features, lambda _i, _j: True)
        y = y + run_feedforward(layer.feed_forward, layer.norm3(y))
    return twin.ctc.ctc_lo(features), twin.decoder.output_layer(twin.decoder.after_norm(y))


def elder_names(state):
    """The names of "Visual Speech Recognition for Multiple Languages", which has the front end in the encoder."""
    renamed = {}
    for name, value in state.items():
        new = name.replace("proj_encoder.", "encoder.embed.0.").replace("frontend.", "encoder.frontend.")
        renamed[new] = value
    return renamed
