"""A CLIP checkpoint folder as transformers writes it, with random weights and letters for tokens."""

from __future__ import annotations

import json
import string
from pathlib import Path

import torch


def write_tiny_clip(folder: Path) -> Path:
    """A network of a few thousand parameters that takes 16 px pictures; needs transformers."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

    folder.mkdir(parents=True)
    letters = [*string.ascii_lowercase, "-"]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**size, "vocab_size": len(words), "max_position_embeddings": 77}
    text |= {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    torch.manual_seed(0)
    vision = {**size, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    return folder
