"""Goldens of the scores and the tiny models that give them: CLIP, DINOv2, ViT-MAE (transformers), LPIPS (its package's formula), Pillow's resampling.

    "$PYTHON" models/reference/scores.py --out models/reference/goldens

Writes `scores.json` and `scores-models/`, whose folders are laid out as Hugging Face's exporters lay theirs out; the weights are random.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import PIL
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizerFast,
    Dinov2Config,
    Dinov2Model,
    DynamicCache,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipVisionConfig,
    ViTMAEConfig,
    ViTMAEModel,
)

HERE = Path(__file__).parent
MODELS = HERE.parent
sys.path[:0] = [str(MODELS / "training"), str(MODELS / "export")]

from export_lpips import NETS, export_lpips  # noqa: E402
from onnx_files import export, open_session, round_to_half, store_half  # noqa: E402

PACK = MODELS / "packs" / "creatures"
DATASET = MODELS.parent / "examples" / "datasets" / "creatures" / "test"
CAPTIONS = ["A green creature.", "A purple round monster with three eyes, long ears and butterfly wings on a blue background.", "", "a " * 100]
OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def floats(values: Tensor | np.ndarray) -> list[float]:
    """The float32 values, flattened, each as the shortest decimal that reads back as the same float32."""
    return [float(str(value)) for value in np.asarray(values, dtype=np.float32).reshape(-1)]


def packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def png(image: Image.Image) -> str:
    with io.BytesIO() as file:
        image.save(file, "PNG", optimize=True)
        return base64.b64encode(file.getvalue()).decode()


def texture(width: int, height: int, k: int) -> Image.Image:
    """Edges, gradients and noise at once, the same on every machine."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray(((x * (7 + k) + y * 13 + c * 31 + (x * y) // (4 + k) + k * 5) % 256).astype(np.uint8))


def pictures() -> dict[str, Image.Image]:
    creatures = {name: Image.open(DATASET / f"creature-{name}.png").convert("RGB") for name in ("0601", "0602")}
    return {**creatures, "wide": texture(61, 40, 0), "tall": texture(33, 50, 3), "large": creatures["0601"].resize((150, 97), Image.Resampling.LANCZOS)}


def save_config(folder: Path, config: dict, preprocessor: dict | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")


def resampling(images: dict[str, Image.Image]) -> list[dict]:
    """Rows, then columns, as Pillow does in one call up to version 12; version 13 begins with the columns where a picture is squashed."""
    sizes = [("wide", 20, 33), ("wide", 24, 24), ("tall", 50, 31), ("tall", 7, 50), ("large", 10, 11)]
    return [
        {"picture": name, "width": width, "height": height, "resample": int(filter_),
         "rgbBase64": packed(np.asarray(images[name].resize((width, images[name].height), filter_).resize((width, height), filter_)))}
        for name, width, height in sizes
        for filter_ in list(Image.Resampling)[:6]
    ]  # fmt: skip


PREPROCESSORS = {
    "CLIP, as transformers writes it now": {
        "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": 20}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 20, "width": 20}, "do_rescale": True, "rescale_factor": 0.00392156862745098,
        "do_normalize": True, **OPENAI},
    "CLIP, as it was written in 2021": {
        "crop_size": 18, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
        **OPENAI, "resample": 3, "size": 20},
    "DINOv2": {
        "image_processor_type": "BitImageProcessor", "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": 24}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 21, "width": 21}, "do_rescale": True, "rescale_factor": 0.00392156862745098,
        "do_normalize": True, **IMAGENET},
    "ViT-MAE": {"do_normalize": True, "do_resize": True, "feature_extractor_type": "ViTFeatureExtractor", **IMAGENET, "resample": 2, "size": 20},
    "ViT, of which nearly nothing is said": {"image_processor_type": "ViTImageProcessor", "size": {"height": 17, "width": 19}},
    "SigLIP": {"image_processor_type": "SiglipImageProcessor", "do_resize": True, "resample": 3, "size": {"height": 20, "width": 20}},
    "a crop beyond the picture": {
        "image_processor_type": "CLIPImageProcessor", "do_resize": False, "do_center_crop": True, "crop_size": {"height": 44, "width": 27},
        "do_rescale": True, "rescale_factor": 0.01, "do_normalize": False},
}  # fmt: skip


def processors(images: dict[str, Image.Image], work: Path) -> list[dict]:
    cases = []
    for name, config in PREPROCESSORS.items():
        (work / "preprocessor_config.json").write_text(json.dumps(config))
        processor = AutoImageProcessor.from_pretrained(work)
        keeps_shape = processor.size is None or "shortest_edge" in processor.size or not processor.do_resize
        for picture in ("wide", "tall" if keeps_shape else "large"):
            values = processor(images=images[picture], return_tensors="np")["pixel_values"][0]
            cases.append({"name": name, "config": config, "picture": picture, "height": values.shape[1], "width": values.shape[2],
                          "float32Base64": packed(values.astype(np.float32))})  # fmt: skip
    return cases


class ClipTowers(nn.Module):
    """optimum's `clip`: both towers and the logits of every pair in one graph."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        output = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return output.logits_per_image, output.logits_per_text, output.text_embeds, output.image_embeds


class ClipText(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.text_projection(self.model.text_model(input_ids=input_ids).pooler_output)


class ClipVision(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model.visual_projection(self.model.vision_model(pixel_values=pixel_values).pooler_output)


def make_clip(images: dict[str, Image.Image], out: Path) -> dict:
    torch.manual_seed(1)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**tower, "vocab_size": 913, "max_position_embeddings": 77, "bos_token_id": 911, "eos_token_id": 912, "pad_token_id": 912}
    config = CLIPConfig(text_config=text, vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=24)
    config._attn_implementation = "eager"
    model = CLIPModel(config).eval()
    scatter(model)
    round_to_half(model)
    preprocessor = {**PREPROCESSORS["CLIP, as transformers writes it now"], "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    ids, pixels = torch.randint(0, 900, (3, 77)), torch.rand(2, 3, 32, 32)
    for folder in ("clip", "clip-split"):
        save_config(out / folder, model.config.to_dict(), preprocessor)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(PACK / "selector" / file, out / folder / file)
    export(
        ClipTowers(model), {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)},
        ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
        {"input_ids": {0: "text_batch_size", 1: "sequence_length"}, "attention_mask": {0: "text_batch_size", 1: "sequence_length"},
         "pixel_values": {0: "image_batch_size"}, "logits_per_image": {0: "image_batch_size", 1: "text_batch_size"},
         "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"}, "text_embeds": {0: "text_batch_size"},
         "image_embeds": {0: "image_batch_size"}},
        out / "clip" / "model.onnx",
    )  # fmt: skip
    axes = {0: "batch_size"}
    split = out / "clip-split" / "onnx"
    export(ClipText(model), {"input_ids": ids}, ["text_embeds"], {"input_ids": {**axes, 1: "sequence_length"}, "text_embeds": axes}, split / "text_model.onnx")
    export(ClipVision(model), {"pixel_values": pixels}, ["image_embeds"], {"pixel_values": axes, "image_embeds": axes}, split / "vision_model.onnx")
    processor = AutoImageProcessor.from_pretrained(out / "clip")
    tokenizer = CLIPTokenizerFast.from_pretrained(out / "clip")
    words = tokenizer(CAPTIONS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**words, pixel_values=processor(images=list(images.values()), return_tensors="pt")["pixel_values"])
    return {
        "logitScale": model.logit_scale.exp().item(),
        "texts": {caption: floats(row) for caption, row in zip(CAPTIONS, output.text_embeds, strict=True)},
        "images": {name: floats(row) for name, row in zip(images, output.image_embeds, strict=True)},
        "logitsPerImage": {name: floats(row) for name, row in zip(images, output.logits_per_image, strict=True)},
    }


def scatter(model: nn.Module) -> None:
    """Fresh weights are so small that all embeddings agree; larger ones tell pictures and words apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)


class Hidden(nn.Module):
    """optimum's feature extraction: `last_hidden_state` alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values).last_hidden_state


class Masked(nn.Module):
    """ViT-MAE's encoder with the mask's noise as an input."""

    def __init__(self, model: ViTMAEModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, noise: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values, noise=noise).last_hidden_state


def make_dinov2(images: dict[str, Image.Image], out: Path) -> dict:
    torch.manual_seed(2)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=7)
    config._attn_implementation = "eager"
    model = Dinov2Model(config).eval()
    scatter(model)
    round_to_half(model)
    preprocessor = {**PREPROCESSORS["DINOv2"], "size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}}
    axes = {"pixel_values": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}}
    save_config(out / "dinov2", model.config.to_dict(), preprocessor)
    save_config(out / "dinov2-fp16", model.config.to_dict(), preprocessor)
    export(Hidden(model), {"pixel_values": torch.rand(2, 3, 28, 28)}, ["last_hidden_state"], axes, out / "dinov2" / "model.onnx")
    pixels = AutoImageProcessor.from_pretrained(out / "dinov2")(images=list(images.values()), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        output = model(pixel_values=pixels)
        torch.testing.assert_close(output.pooler_output, output.last_hidden_state[:, 0])
        half = out / "dinov2-fp16" / "onnx" / "model.onnx"
        half.parent.mkdir(parents=True)
        torch.onnx.export(Hidden(model.half()), (pixels.half(),), str(half), input_names=["pixel_values"], output_names=["last_hidden_state"],
                          dynamic_axes=axes, opset_version=17, dynamo=False)  # fmt: skip
    in_half = open_session(half).run(["last_hidden_state"], {"pixel_values": pixels.half().numpy()})[0][:, 0].astype(np.float32)
    unit = nn.functional.normalize(output.pooler_output)
    return {
        "images": {name: floats(row) for name, row in zip(images, unit, strict=True)},
        "inHalf": {name: floats(row / np.linalg.norm(row)) for name, row in zip(images, in_half, strict=True)},
    }


def make_vit_mae(images: dict[str, Image.Image], out: Path) -> dict:
    images = {name: image for name, image in images.items() if name != "tall"}  # squashed: see resampling()
    cases = {}
    for folder, mask_ratio in (("vit-mae", 0.75), ("vit-mae-whole", 0.0)):
        torch.manual_seed(3)
        config = ViTMAEConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
                              mask_ratio=mask_ratio, decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=1,
                              decoder_intermediate_size=8)  # fmt: skip
        config._attn_implementation = "eager"
        model = ViTMAEModel(config).eval()
        scatter(model)
        round_to_half(model)
        save_config(out / folder, model.config.to_dict(), {**PREPROCESSORS["ViT-MAE"], "size": 32})
        axes = {"pixel_values": {0: "batch_size"}, "noise": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}}
        inputs = {"pixel_values": torch.rand(2, 3, 32, 32), "noise": torch.rand(2, 16)}
        export(Masked(model), inputs, ["last_hidden_state"], axes, out / folder / "onnx" / "model.onnx")
        pixels = AutoImageProcessor.from_pretrained(out / folder)(images=list(images.values()), return_tensors="pt")["pixel_values"]
        noise = torch.rand(1, 16, generator=torch.Generator("cpu").manual_seed(0)).expand(len(images), -1)
        with torch.no_grad():
            features = model(pixel_values=pixels, noise=noise).last_hidden_state.mean(1)
        cases[folder] = {name: floats(row) for name, row in zip(images, features, strict=True)}
    return cases


def random_lpips(net: str, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts in the layout of torchvision's and lpips' files, with an eighth and less of their channels."""
    widths = {"alex": [8, 12, 16, 12, 12], "vgg": [4, 4, 8, 8, 12, 12, 12, 16, 16, 16, 16, 16, 16]}[net]
    kernels = [11, 5, 3, 3, 3] if net == "alex" else [3] * len(widths)
    backbone, heads, before, conv, tap = {}, {}, 3, 0, 0
    for step in NETS[net]:
        if step[0] == "conv":
            width, kernel = widths[conv], kernels[conv]
            bound = (6 / (before * kernel * kernel)) ** 0.5
            backbone[f"features.{step[1]}.weight"] = (torch.rand(width, before, kernel, kernel, generator=generator) * 2 - 1) * bound
            backbone[f"features.{step[1]}.bias"] = torch.rand(width, generator=generator) * 0.2 - 0.1
            before, conv = width, conv + 1
        elif step[0] == "tap":
            heads[f"lin{tap}.model.1.weight"] = torch.rand(1, before, 1, 1, generator=generator) * 0.5
            tap += 1
    return backbone, heads


def packages_lpips(net: str, backbone: dict[str, Tensor], heads: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    """The formula of lpips 0.1.4 (`LPIPS.forward`) over torchvision's `features`, built from its layers and not from the export's."""
    shift, scale = torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None], torch.tensor([0.458, 0.448, 0.450])[None, :, None, None]
    if net == "alex":
        plan = [(4, 2), "relu", "pool3", (1, 2), "relu", "pool3", (1, 1), "relu", (1, 1), "relu", (1, 1), "relu"]
        slices = [2, 5, 8, 10, 12]
    else:
        plan = [layer for size, last in ((2, 0), (2, 0), (3, 0), (3, 0), (3, 1)) for layer in [(1, 1), "relu"] * size + ["pool2"] * (1 - last)]
        slices = [4, 9, 16, 23, 30]
    layers: list[nn.Module] = []
    for index, layer in enumerate(plan):
        if layer == "relu":
            layers.append(nn.ReLU())
        elif isinstance(layer, str):
            layers.append(nn.MaxPool2d(kernel_size=int(layer[-1]), stride=2))
        else:
            weight = backbone[f"features.{index}.weight"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride=layer[0], padding=layer[1])
            conv.load_state_dict({"weight": weight, "bias": backbone[f"features.{index}.bias"]})
            layers.append(conv)
    total = torch.zeros(a.shape[0])
    x, y = (a - shift) / scale, (b - shift) / scale
    for tap, (start, end) in enumerate(zip([0, *slices[:-1]], slices, strict=True)):
        block = nn.Sequential(*layers[start:end])
        x, y = block(x), block(y)
        normal = [f / (torch.sqrt(torch.sum(f**2, dim=1, keepdim=True)) + 1e-10) for f in (x, y)]
        head = nn.Conv2d(x.shape[1], 1, 1, bias=False)
        head.load_state_dict({"weight": heads[f"lin{tap}.model.1.weight"]})
        total = total + head((normal[0] - normal[1]) ** 2).mean([2, 3])[:, 0]
    return total


def make_lpips(images: dict[str, Image.Image], out: Path) -> list[dict]:
    cases = []
    for net in ("alex", "vgg"):
        backbone, heads = random_lpips(net, torch.Generator("cpu").manual_seed(4))
        backbone = {name: value.half().float() if value.numel() >= 256 else value for name, value in backbone.items()}
        module = export_lpips(net, backbone, heads, out / f"lpips-{net}")
        store_half(out / f"lpips-{net}" / "onnx" / "model.onnx")
        del module
        for name, other in (("0601", "0602"), ("0602", "0601"), ("0601", "0601"), ("wide", "wide-noise")):
            a = images[name]
            b = images.get(other) or Image.fromarray(np.asarray(a) ^ np.uint8(15))
            tensors = [torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for image in (a, b)]
            with torch.no_grad():
                distance = packages_lpips(net, backbone, heads, *tensors).item()
            cases.append({"net": net, "picture": name, "referencePngBase64": png(b), "distance": distance})
    return cases


VQA_QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
VQA_TEMPLATE = (
    "{% for message in messages %}{{ '<s>User: ' }}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def vqa_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer whose vocabulary has the answers as single tokens, with and without a space before them."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    words = [VQA_QUESTION.format(caption) for caption in CAPTIONS] + ["User: Assistant: Yes No yes no"] * 50 + ["Yes", "No", "yes"] * 50
    tokenizer.train_from_iterator(words, BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>", "<image>"], initial_alphabet=ByteLevel.alphabet()))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "image_token": "<image>",
              "extra_special_tokens": {"image_token": "<image>"}, "model_max_length": 512, "chat_template": VQA_TEMPLATE}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class VisionEncoder(nn.Module):
    """`pixel_values` [b, 3, h, w] -> `image_features` [b, patches, d]."""

    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        states = self.model.model.vision_tower(pixel_values, output_hidden_states=True).hidden_states
        return self.model.model.multi_modal_projector(states[self.model.config.vision_feature_layer])


class EmbedTokens(nn.Module):
    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.embed = model.get_input_embeddings()

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.embed(input_ids)


class DecoderWithPast(nn.Module):
    """`inputs_embeds`, `attention_mask` over past and present, `position_ids`, keys and values so far -> `logits`, keys and values now."""

    def __init__(self, model: LlavaForConditionalGeneration) -> None:
        super().__init__()
        self.text, self.head = model.model.language_model, model.lm_head

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        total, now = attention_mask.shape[1], inputs_embeds.shape[1]
        places = torch.arange(total)
        seen = (places[None, :] <= places[total - now :, None])[None, None] & attention_mask[:, None, None, :].bool()
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
        cache = DynamicCache(ddp_cache_data=list(zip(past[::2], past[1::2], strict=True)))
        output = self.text(inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True)
        return self.head(output.last_hidden_state), *(part for layer in cache.layers for part in (layer.keys, layer.values))


def make_vqa(images: dict[str, Image.Image], out: Path) -> dict:
    torch.manual_seed(5)
    folder = out / "vision-language"
    folder.mkdir()
    vqa_tokenizer(folder)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**tower, image_size=32, patch_size=8, vision_use_head=False),
        text_config=LlamaConfig(**tower, vocab_size=400, num_key_value_heads=2, head_dim=16, max_position_embeddings=512, bos_token_id=0, eos_token_id=1, pad_token_id=1),
        image_token_index=2, image_seq_length=16, vision_feature_layer=-1, vision_feature_select_strategy="full",
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = LlavaForConditionalGeneration(config).eval()
    model.set_attn_implementation("eager")
    scatter(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(3)  # answers that are surer of themselves
    round_to_half(model)
    preprocessor = {**PREPROCESSORS["SigLIP"], "size": {"height": 32, "width": 32}, "do_rescale": True, "rescale_factor": 0.00392156862745098,
                    "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "processor_class": "LlavaProcessor"}  # fmt: skip
    save_config(folder, {**model.config.to_dict(), "architectures": ["LlavaForConditionalGeneration"]}, preprocessor)
    processor_config = {"processor_class": "LlavaProcessor", "patch_size": 8, "num_additional_image_tokens": 0, "vision_feature_select_strategy": "full", "image_token": "<image>"}
    (folder / "processor_config.json").write_text(json.dumps(processor_config, indent=2) + "\n")
    onnx = folder / "onnx"
    axes = {0: "batch_size", 1: "sequence_length"}
    export(VisionEncoder(model), {"pixel_values": torch.rand(2, 3, 32, 32)}, ["image_features"], {"pixel_values": {0: "batch_size"}, "image_features": {0: "batch_size"}}, onnx / "vision_encoder.onnx")
    export(EmbedTokens(model), {"input_ids": torch.randint(0, 400, (2, 7))}, ["inputs_embeds"], {"input_ids": axes, "inputs_embeds": axes}, onnx / "embed_tokens.onnx")
    past = {f"past_key_values.{layer}.{part}": torch.rand(2, 2, 3, 16) for layer in range(2) for part in ("key", "value")}
    present = [name.replace("past_key_values", "present") for name in past]
    export(
        DecoderWithPast(model),
        {"inputs_embeds": torch.rand(2, 7, 32), "attention_mask": torch.ones(2, 10, dtype=torch.long), "position_ids": torch.arange(3, 10).expand(2, -1), **past},
        ["logits", *present],
        {"inputs_embeds": axes, "attention_mask": {0: "batch_size", 1: "total_sequence_length"}, "position_ids": axes, "logits": axes,
         **{name: {0: "batch_size", 2: "past_sequence_length"} for name in past}, **{name: {0: "batch_size", 2: "total_sequence_length"} for name in present}},
        onnx / "decoder_model_merged.onnx",
    )  # fmt: skip
    processor = AutoProcessor.from_pretrained(folder)
    ids = sorted({tokens[0] for word in ("Yes", " Yes", "yes", " yes") if len(tokens := processor.tokenizer.encode(word, add_special_tokens=False)) == 1})
    cases = []
    for name in ("small", "0601"):
        for caption in CAPTIONS[:2]:
            content = [{"type": "image"}, {"type": "text", "text": VQA_QUESTION.format(caption)}]
            prompt = processor.tokenizer.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
            with torch.no_grad():
                logits = model(**processor(text=prompt, images=images[name], return_tensors="pt")).logits[0, -1]
            cases.append({"picture": name, "caption": caption, "prompt": prompt, "probability": logits.double().softmax(-1)[ids].sum().item()})
    return {"yesIds": ids, "cases": cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "goldens")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    models = out / "scores-models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    images = pictures()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "pillow": PIL.__version__,
                "onnxruntime": onnxruntime.__version__, "lpips": "0.1.4 (its formula)"}  # fmt: skip
    small = images["0602"].resize((32, 32), Image.Resampling.BICUBIC)
    document = {
        "versions": versions,
        "pictures": {name: png(image) for name, image in {**images, "small": small}.items()},
        "resampling": resampling(images),
        "processors": processors(images, models),
        "clip": make_clip(images, models),
        "dinov2": make_dinov2(images, models),
        "vitMae": make_vit_mae(images, models),
        "lpips": make_lpips(images, models),
        "vqa": make_vqa({"0601": images["0601"], "small": small}, models),
    }
    (models / "preprocessor_config.json").unlink()
    (out / "scores.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
