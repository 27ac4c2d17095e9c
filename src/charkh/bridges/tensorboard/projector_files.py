"""Write embeddings where TensorBoard's projector finds them: tables, labels, a picture, and the config of them all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charkh.bridges.tensorboard.media import Item, from_npy
from charkh.bridges.tensorboard.pixels import to_pictures
from charkh.bridges.tensorboard.projector import CONFIG
from charkh.runs.pictures import encode_image


def write_embedding(folder: Path, item: Item, step: int, beside: Mapping[str, Item]) -> bool:
    """Write one embedding below its run's folder; False where its payload is no table of numbers.

    Args:
        folder: of the run's event files.
        item: the vectors.
        step: of the item.
        beside: its `metadata` and `sprite`, where there are any.
    """
    try:
        vectors = from_npy(item.payload)
    except ValueError:
        return False
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        return False
    name = f"{step:05d}/{safe_name(item.key).replace(':', '_')}"
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    rows = ("\t".join(repr(cell) for cell in row) for row in vectors.tolist())
    (place / "tensors.tsv").write_text("\n".join(rows) + "\n")
    lines = [f"tensor_name: {json.dumps(item.key)}", f"tensor_path: {json.dumps(f'{name}/tensors.tsv')}"]
    if "metadata" in beside:
        (place / "metadata.tsv").write_bytes(beside["metadata"].payload)
        lines.append(f"metadata_path: {json.dumps(f'{name}/metadata.tsv')}")
    if "sprite" in beside:
        (place / "sprite.png").write_bytes(beside["sprite"].payload)
        sizes = " ".join(f"single_image_dim: {int(each)}" for each in beside["sprite"].details.get("size", []))
        lines.append(f"sprite {{ image_path: {json.dumps(f'{name}/sprite.png')} {sizes} }}")
    entry = "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
    config = folder / CONFIG
    before = config.read_text() if config.exists() else ""
    if entry not in before:
        config.write_text(before + entry)
    return True


def write_items(folder: Path, items: Sequence[Item], step: int) -> bool:
    """The same for vectors that are followed by what stands beside them."""
    beside = {each.key.rpartition("/")[2]: each for each in items[1:]}
    return write_embedding(folder, items[0], step, beside)


def sprite_item(name: str, pictures: Any) -> Item:
    """The pictures of an embedding (NCHW) as one square sheet, row by row."""
    tiles = to_pictures(pictures, "NCHW")
    side = math.ceil(math.sqrt(len(tiles)))
    height, width, channels = tiles[0].shape
    sheet = np.zeros((side * height, side * width, channels), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // side * height, place % side * width
        sheet[top : top + height, left : left + width] = tile
    found = encode_image(sheet)
    details = {**found.details, "embedding": name[:200], "size": [width, height]}
    return Item(f"{name}/sprite", "image", found.mime, found.payload, details)


def safe_name(name: str) -> str:
    """A name of a folder: never one that leads elsewhere."""
    clean = "".join(each if each.isprintable() and each not in '/\\:*?"<>|' else "_" for each in name).strip(" ")
    return clean if clean.strip(".") else "_"
