"""What OPT is shown of pictures: ViT-MAE's features, from the very ONNX file that a run reads (vit-mae.ts)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoImageProcessor

from config import BadInput
from feedback_set import Row
from item_seed import item_seed
from onnx_files import open_session


class ImageFeatures:
    def __init__(self, folder: Path, seed: int) -> None:
        file = folder / "onnx" / "model.onnx"
        if not file.exists():
            file = folder / "model.onnx"
        if not file.exists():
            raise BadInput(f"{folder}: imageEncoder has no onnx/model.onnx; export one with models/export/export_vit_mae.py")
        self.session, self.seed = open_session(file), seed
        inputs = {given.name: given for given in self.session.get_inputs()}
        if set(inputs) != {"pixel_values", "noise"}:
            raise BadInput(f"{file}: imageEncoder takes {', '.join(inputs)} instead of pixel_values and noise; export it with models/export/export_vit_mae.py")
        self.patches = inputs["noise"].shape[-1]
        self.processor = AutoImageProcessor.from_pretrained(folder)

    def all(self, row: Row, view: int) -> np.ndarray:
        """float32 [features, width]. A view is a mask: its noise is torch's under the seed that a run of this seed gives the item's draw."""
        pixels = self.processor(row.image(), return_tensors="np")["pixel_values"]
        generator = torch.Generator().manual_seed(item_seed(self.seed, row.id, view))
        noise = torch.rand(1, self.patches, generator=generator).numpy()
        return self.session.run(["last_hidden_state"], {"pixel_values": pixels, "noise": noise})[0][0]

    def mean(self, row: Row, view: int) -> np.ndarray:
        """float32 [1, width], added up in double precision."""
        return self.all(row, view).mean(0, keepdims=True, dtype=np.float64).astype(np.float32)
