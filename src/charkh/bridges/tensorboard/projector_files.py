"""Write embeddings where TensorBoard's projector finds them: tables, labels, a picture, and the config of them all."""

import json
from collections.abc import Mapping
from pathlib import Path

from charkh.bridges.tensorboard.media import from_npy
from charkh.bridges.tensorboard.projector import CONFIG
from charkh.runs.media import MediaItem

Beside = Mapping[str, tuple[MediaItem, bytes]]
"""`metadata` and `sprite` of an embedding, where there are any."""


def write_embedding(folder: Path, item: MediaItem, data: bytes, beside: Beside) -> bool:
    """Write one embedding below its run's folder; False where its payload is no table of numbers."""
    try:
        vectors = from_npy(data)
    except ValueError:
        return False
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        return False
    name = f"{item.step:05d}/{''.join(each if each.isalnum() or each in '-_.' else '_' for each in item.key)}"
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    rows = ("\t".join(repr(cell) for cell in row) for row in vectors.tolist())
    (place / "tensors.tsv").write_text("\n".join(rows) + "\n")
    lines = [f"tensor_name: {json.dumps(item.key)}", f"tensor_path: {json.dumps(f'{name}/tensors.tsv')}"]
    if "metadata" in beside:
        (place / "metadata.tsv").write_bytes(beside["metadata"][1])
        lines.append(f"metadata_path: {json.dumps(f'{name}/metadata.tsv')}")
    if "sprite" in beside:
        sprite, picture = beside["sprite"]
        (place / "sprite.png").write_bytes(picture)
        sizes = " ".join(f"single_image_dim: {int(each)}" for each in sprite.details.get("size", []))
        lines.append(f"sprite {{ image_path: {json.dumps(f'{name}/sprite.png')} {sizes} }}")
    entry = "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
    config = folder / CONFIG
    before = config.read_text() if config.exists() else ""
    if entry not in before:
        config.write_text(before + entry)
    return True
