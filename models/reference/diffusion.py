"""Stable Diffusion 1.x, 2.x and SDXL in small configurations with random weights: the folders that `optimum-cli export onnx`
writes of them, and the pictures that diffusers' own pipelines make of them on torch.

    python models/reference/diffusion.py --out DIR    (default: goldens/ beside this file)

Writes `diffusion.json` and `diffusion-models/<name>/`. The exporter lives in an environment of its own
(models/export/requirements.txt), which `node scripts/python-env.mjs` finds or makes.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VOCABULARY = ROOT / "models" / "packs" / "creatures" / "diffusion" / "tokenizer"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
END = "<|endoftext|>"

SHORT = "A round green creature with two horns, smiling."
OTHER = "Make its wings larger and the background blue"
NEGATIVE = "blurry, dark"
LONG = " ".join(f"A {c} creature with {n} {p}." for n, c in enumerate(["green", "purple", "round"] * 7) for p in ["horns", "long ears"])
WEIGHTED = r"a (round:1.4) green (creature) with ((two) horns:0.6), \(smiling\)"


def write_tokenizer(folder: Path, pad: str) -> None:
    """The files of the published repositories: no tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(VOCABULARY / name, folder / name)
    special = {"bos_token": "<|startoftext|>", "eos_token": END, "pad_token": pad, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {**special, "do_lower_case": True, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "errors": "replace"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "add_prefix_space": False}))


def tokenizer(pad: str = END) -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(Path(folder), pad)
        return CLIPTokenizer.from_pretrained(folder)


def text_encoder(kind: type, act: str, **options) -> torch.nn.Module:
    # eos_token_id 2 is what the published configurations have; the pooled state is then that of the largest id.
    size = {"vocab_size": 913, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return kind(CLIPTextConfig(**size, hidden_act=act, bos_token_id=0, eos_token_id=2, pad_token_id=1, **options)).eval()


def unet(**options) -> UNet2DConditionModel:
    size = {"sample_size": 16, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 16}
    blocks = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
    return UNet2DConditionModel(**{**size, **blocks, **options}).eval()


def autoencoder() -> AutoencoderKL:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    vae = AutoencoderKL(**blocks, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4, layers_per_block=1, sample_size=32).eval()
    with torch.no_grad():  # Pictures with contrast, and latents as spread as real ones.
        vae.decoder.conv_out.weight *= 3
        vae.encoder.conv_out.weight[:4] *= 6
    return vae


def pipelines() -> dict[str, StableDiffusionPipeline | StableDiffusionXLPipeline]:
    torch.manual_seed(20)
    vae = autoencoder()
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pndm = PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False)
    sd1 = StableDiffusionPipeline(vae, text_encoder(CLIPTextModel, "quick_gelu"), tokenizer(), unet(attention_head_dim=2), pndm, **none)
    ddim = DDIMScheduler(**BETAS, prediction_type="v_prediction", steps_offset=1, set_alpha_to_one=False, clip_sample=False)
    linear = {"attention_head_dim": (1, 2), "use_linear_projection": True}
    sd2 = StableDiffusionPipeline(vae, text_encoder(CLIPTextModel, "gelu"), tokenizer("!"), unet(**linear), ddim, **none)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 16 + 6 * 8}
    sdxl = StableDiffusionXLPipeline(
        vae,
        text_encoder(CLIPTextModel, "quick_gelu"),
        text_encoder(CLIPTextModelWithProjection, "gelu", projection_dim=16),
        tokenizer(),
        tokenizer("!"),
        unet(**linear, **added, cross_attention_dim=32, transformer_layers_per_block=(1, 2)),
        EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    )
    pipes = {"sd1": sd1, "sd2": sd2, "sdxl": sdxl}
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    return pipes


def export(pipe: StableDiffusionPipeline | StableDiffusionXLPipeline, folder: Path) -> None:
    """By the ecosystem's exporter, whose older transformers wants the older names of weights and the older tokenizer files."""
    environment = [str(ROOT / "scripts" / "python-env.mjs"), str(ROOT / "models" / "export" / "requirements.txt")]
    python = subprocess.run(["node", *environment], check=True, capture_output=True, text=True).stdout.split()[-1]
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / folder.name
        pipe.save_pretrained(source)
        for part, one in (("", "tokenizer"), ("_2", "tokenizer_2")):
            if hasattr(pipe, one):
                write_tokenizer(source / one, getattr(pipe, one).pad_token)
                file = source / f"text_encoder{part}" / "model.safetensors"
                old = {k if k.startswith(("text_model.", "text_projection")) else f"text_model.{k}": v for k, v in load_file(file).items()}
                save_file(old, file, metadata={"format": "pt"})
        command = [str(Path(python).parent / "optimum-cli"), "export", "onnx", "--model", str(source), "--task", "text-to-image"]
        done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
        if done.returncode != 0 or "newly initialized" in done.stderr:
            raise SystemExit(f"{folder.name}: {done.stdout}{done.stderr}")
    for file in [folder / "model_index.json", *folder.glob("*/config.json")]:
        fields = json.loads(file.read_text())
        fields.pop("_name_or_path", None)  # A folder of this machine's.
        file.write_text(json.dumps(fields, indent=2) + "\n")


Parts = list[tuple[list[int], list[float]]]


class Prompts:
    """Long, mixed and weighted prompts as embeddings for a pipeline: what diffusers leaves to its callers."""

    def __init__(self, pipe: StableDiffusionPipeline | StableDiffusionXLPipeline):
        self.pairs = [(pipe.tokenizer, pipe.text_encoder)]
        self.is_xl = hasattr(pipe, "text_encoder_2")
        if self.is_xl:
            self.pairs.append((pipe.tokenizer_2, pipe.text_encoder_2))

    @torch.no_grad()
    def states(self, ids: list[int], which: int) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.pairs[which][1](torch.tensor([ids]), output_hidden_states=True)
        return (output.hidden_states[-2], output[0]) if self.is_xl else (output[0], output[0][:, 0])

    def windows(self, text: str, which: int, one: bool, weighted: bool = False) -> list[tuple[list[int], list[float]]]:
        tok = self.pairs[which][0]
        pieces = [(text, 1.0)] if not weighted else pieces_of(text)
        content = [(i, w) for piece, w in pieces for i in tok(piece, add_special_tokens=False).input_ids]
        if one:
            content = content[:75]
        result = []
        for at in range(0, max(1, len(content)), 75):
            part = content[at : at + 75]
            pad = [tok.pad_token_id] * (75 - len(part))
            ids = [tok.bos_token_id, *[i for i, _ in part], tok.eos_token_id, *pad]
            result.append((ids, [1.0, *[w for _, w in part], 1.0, *[1.0] * len(pad)]))
        return result

    def encode(self, text: str, one: bool = False, length: int | None = None, weighted: bool = False) -> dict[str, torch.Tensor]:
        widths = []
        pooled = None
        for which in range(len(self.pairs)):
            windows = self.windows(text, which, one, weighted)
            empty = self.windows("", which, True)[0]
            if length is not None:
                windows = windows[:length] + [empty] * (length - len(windows))
            encoded = []
            for k, (ids, weights) in enumerate(windows):
                states, last = self.states(ids, which)
                if any(w != 1 for w in weights):
                    base = self.states(empty[0], which)[0]
                    states = base + torch.tensor(weights)[None, :, None] * (states - base)
                encoded.append(states)
                pooled = last if k == 0 else pooled
            widths.append(torch.cat(encoded, dim=1))
        return {"embeds": torch.cat(widths, dim=-1), "pooled": pooled}

    def arguments(self, prompt: dict, negative: dict) -> dict[str, torch.Tensor]:
        both = {"prompt_embeds": prompt["embeds"], "negative_prompt_embeds": negative["embeds"]}
        if self.is_xl:
            both |= {"pooled_prompt_embeds": prompt["pooled"], "negative_pooled_prompt_embeds": negative["pooled"]}
        return both


def pieces_of(text: str, weight: float = 1.0) -> list[tuple[str, float]]:
    """ComfyUI's prompt syntax: (x) is 1.1 times the weight around it, (x:w) is w, \\( and \\) are brackets."""
    text = text.replace("\\(", "\1").replace("\\)", "\2")
    result: list[tuple[str, float]] = []

    def unescaped(piece: str) -> str:
        return piece.replace("\1", "(").replace("\2", ")")

    def walk(part: str, weight: float) -> None:
        depth, begin = 0, 0
        for i, character in enumerate(part):
            if character == "(":
                if depth == 0:
                    result.append((unescaped(part[begin:i]), weight))
                    begin = i
                depth += 1
            elif character == ")" and depth > 0:
                depth -= 1
                if depth == 0:
                    inner, factor = part[begin + 1 : i], weight * 1.1
                    head, _, tail = inner.rpartition(":")
                    try:
                        if head:
                            inner, factor = head, float(tail)
                    except ValueError:
                        inner = part[begin + 1 : i]
                    walk(inner, factor)
                    begin = i + 1
        result.append((unescaped(part[begin:]), weight))

    walk(text, weight)
    return [(piece, w) for piece, w in result if piece]


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def encoded(picture: Image.Image) -> dict:
    pixels = np.asarray(picture)
    assert pixels.std() > 10, f"hardly anything to see: {pixels.std()}"
    return {"imageShape": list(pixels.shape), "imageBase64": base64.b64encode(pixels.tobytes()).decode()}


def text_cases(name: str, pipe: StableDiffusionPipeline | StableDiffusionXLPipeline) -> list[dict]:
    prompts = Prompts(pipe)
    cases = []

    def add(what: str, prompt, arguments: dict, **request) -> None:
        request = {"numInferenceSteps": 6, "guidanceScale": 5.0, "seed": 7, "height": None, "width": None, "negativePrompt": "", **request}
        size = {key: request[key] for key in ("height", "width") if request[key]}
        options = {"num_inference_steps": request["numInferenceSteps"], "guidance_scale": request["guidanceScale"], **size, **arguments}
        picture = pipe(**options, generator=generator(request["seed"])).images[0]
        cases.append({"model": name, "what": what, "request": {"prompt": prompt, **request}, **encoded(picture)})

    add("plain", SHORT, {"prompt": SHORT})
    add("negative prompt, another seed", SHORT, {"prompt": SHORT, "negative_prompt": NEGATIVE}, negativePrompt=NEGATIVE, seed=4294967295)
    add("not square, no guidance", OTHER, {"prompt": OTHER}, height=24, width=40, guidanceScale=1.0)
    add("cut at 77 tokens", LONG, {"prompt": LONG})
    long = prompts.encode(LONG)
    count = long["embeds"].shape[1] // 77
    assert count >= 4, count  # 300 tokens
    negative = prompts.encode(NEGATIVE, length=count)
    add("300 tokens in windows", {"chunk": LONG}, prompts.arguments(long, negative), negativePrompt=NEGATIVE)
    pair = [prompts.encode(text, one=True) for text in (SHORT, OTHER)]
    mixed = {key: 0.3 * pair[0][key] + 0.7 * pair[1][key] for key in ("embeds", "pooled")}
    blend = {"blend": [{"text": SHORT, "weight": 0.3}, {"text": OTHER, "weight": 0.7}]}
    add("mixed", blend, prompts.arguments(mixed, prompts.encode(NEGATIVE, one=True)), negativePrompt=NEGATIVE)
    weighted, against = prompts.encode(WEIGHTED, one=True, weighted=True), prompts.encode("(blurry:0.7), dark", one=True, weighted=True)
    add("weighted words", WEIGHTED, prompts.arguments(weighted, against), negativePrompt="(blurry:0.7), dark", promptWeights=True)
    long_weighted = LONG.replace("long ears", "(long ears:1.3)")
    both = prompts.arguments(prompts.encode(long_weighted, weighted=True), prompts.encode(NEGATIVE, length=count, weighted=True))
    add("weighted words in windows", {"chunk": long_weighted}, both, negativePrompt=NEGATIVE, promptWeights=True)
    assert len({case["imageBase64"] for case in cases}) == len(cases)
    return cases


SCHEDULERS = {
    None: None,
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "dpmsolver++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "lcm": LCMScheduler,
}


def image_cases(name: str, pipe: StableDiffusionPipeline | StableDiffusionXLPipeline, start: np.ndarray, folder: Path) -> list[dict]:
    kind = StableDiffusionXLImg2ImgPipeline if name == "sdxl" else StableDiffusionImg2ImgPipeline
    extra = {} if name == "sdxl" else {"requires_safety_checker": False}
    own = pipe.scheduler
    cases = []
    for scheduler, cls in SCHEDULERS.items() if name == "sd1" else [(None, None)]:
        edit = kind(**pipe.components, **extra)
        edit.set_progress_bar_config(disable=True)
        edit.scheduler = own if cls is None else cls.from_pretrained(folder, subfolder="scheduler")
        for strength in (0.6, 1.0) if scheduler in (None, "unipc") else (0.6,):
            request = {"prompt": OTHER, "negativePrompt": NEGATIVE, "numInferenceSteps": 10, "guidanceScale": 5.0, "seed": 42}
            options = {"prompt": OTHER, "negative_prompt": NEGATIVE, "num_inference_steps": 10, "guidance_scale": 5.0}
            picture = edit(**options, strength=strength, image=Image.fromarray(start), generator=generator(42)).images[0]
            request |= {"height": None, "width": None, "scheduler": scheduler}
            cases.append({"model": name, "strength": strength, "request": request, **encoded(picture)})
    return cases


def distilled_cases(folder: Path, parts: StableDiffusionPipeline) -> list[dict]:
    """A latent consistency model: its UNet is told the guidance scale. What it shares with sd1 is left out of its folder."""
    torch.manual_seed(22)
    pipe = StableDiffusionPipeline(
        parts.vae, parts.text_encoder, parts.tokenizer, unet(attention_head_dim=2, time_cond_proj_dim=16), LCMScheduler(**BETAS),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    export(pipe, folder)
    for part in folder.iterdir():
        if part.is_dir() and part.name not in ("unet", "scheduler"):
            shutil.rmtree(part)
    cases = []
    for scale in (1.0, 8.0):
        picture = pipe(prompt=SHORT, num_inference_steps=4, guidance_scale=scale, generator=generator(9)).images[0]
        request = {"prompt": SHORT, "negativePrompt": "", "numInferenceSteps": 4, "guidanceScale": scale, "seed": 9}
        cases.append({"model": folder.name, "request": request, **encoded(picture)})
    assert cases[0]["imageBase64"] != cases[1]["imageBase64"]
    return cases


def tiled_cases(pipe: StableDiffusionPipeline) -> list[dict]:
    """Larger than the VAE's own size in both directions, and neither a multiple of its tiles."""
    cases = []
    pipe.vae.enable_tiling()
    for height, width in ((80, 56), (32, 64)):
        options = {"prompt": SHORT, "num_inference_steps": 4, "guidance_scale": 5.0, "height": height, "width": width}
        picture = pipe(**options, generator=generator(3)).images[0]
        request = {"prompt": SHORT, "negativePrompt": "", "numInferenceSteps": 4, "guidanceScale": 5.0, "seed": 3}
        cases.append({"model": "sd1", "request": {**request, "height": height, "width": width}, **encoded(picture)})
    pipe.vae.disable_tiling()
    return cases


def half_cases(pipe: StableDiffusionPipeline, source: Path, folder: Path) -> list[dict]:
    """A folder in float16, inputs and outputs too, as `--dtype fp16` gives it (optimum does that on a GPU only), and torch's picture in float16."""
    shutil.copytree(source, folder)
    for file in folder.glob("*/model.onnx"):
        kept = ["timestep"] if file.parent.name == "unet" else []
        model = convert_float_to_float16(onnx.load(file), keep_io_types=kept)
        onnx.save(model, file)
    pipe.to(torch.float16)
    request = {"prompt": SHORT, "negativePrompt": "", "numInferenceSteps": 6, "guidanceScale": 5.0, "seed": 7}
    picture = pipe(prompt=SHORT, num_inference_steps=6, guidance_scale=5.0, generator=generator(7)).images[0]
    return [{"model": folder.name, "request": request, **encoded(picture)}]


def quantize(source: Path, folder: Path) -> None:
    """A folder in int8, as `optimum-cli onnxruntime quantize` gives it."""
    shutil.copytree(source, folder)
    for file in folder.glob("*/model.onnx"):
        quantize_dynamic(file, file, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gather"])


def safety_cases(folder: Path, cases: list[dict]) -> list[dict]:
    """A safety checker as diffusers' ONNX export writes it, which blocks some of the pictures."""
    torch.manual_seed(21)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config={}, projection_dim=16)).eval()
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pictures = [Image.frombytes("RGB", (32, 32), base64.b64decode(case["imageBase64"])) for case in cases]
    seen = processor(pictures, return_tensors="pt").pixel_values
    with torch.no_grad():
        embeds = checker.visual_projection(checker.vision_model(seen)[1])
        checker.concept_embeds.copy_(torch.randn(17, 16))
        checker.special_care_embeds.copy_(torch.randn(3, 16))
        closeness = torch.nn.functional.cosine_similarity(embeds[:, None], checker.concept_embeds[None], dim=-1)[:, 0].sort().values
        middle = len(cases) // 2
        assert closeness[middle] - closeness[middle - 1] > 1e-4, closeness
        checker.concept_embeds_weights[0] = closeness[middle - 1 : middle + 1].mean()
        images = torch.tensor(np.stack([np.asarray(picture) for picture in pictures])) / 255
        verdicts = [checker.forward_onnx(seen[i : i + 1], images[i : i + 1].clone())[1].item() for i in range(len(pictures))]
    assert sum(verdicts) == len(cases) - middle, verdicts
    checker.forward = checker.forward_onnx
    (folder / "safety_checker").mkdir(parents=True)
    picture = {0: "batch", 1: "height", 2: "width", 3: "channels"}
    torch.onnx.export(
        checker,
        (seen[:1], images[:1].clone()),
        str(folder / "safety_checker" / "model.onnx"),
        input_names=["clip_input", "images"],
        output_names=["out_images", "has_nsfw_concepts"],
        dynamic_axes={"clip_input": {0: "batch", 1: "channels", 2: "height", 3: "width"}, "images": picture},
        opset_version=17,
        dynamo=False,
    )
    processor.save_pretrained(folder / "feature_extractor")
    return [{"model": case["model"], "request": case["request"], "blocked": verdict} for case, verdict in zip(cases, verdicts, strict=True)]


def token_cases() -> list[dict]:
    """transformers' ids of a hard corpus, by tokenizers whose padding differs."""
    hard = [case["text"] for case in json.loads((ROOT / "models" / "training" / "goldens" / "tokenizer.json").read_text())["cases"]]
    cases = []
    for name, pad in (("sd1", END), ("sd2", "!")):
        tok = tokenizer(pad)
        for text in [*hard, "wow! so green!! (really!)", "a!b !"]:
            ids = tok(text, padding="max_length", truncation=True, max_length=77).input_ids
            cases.append({"model": name, "text": text, "ids": ids})
    return cases


def noise_cases() -> list[dict]:
    """torch.randn in both of a pipeline's types, at sizes on either side of where torch changes its way."""
    sizes = [1, 4, 5, 15, 16, 17, 31, 32, 33, 60, 64, 100, 1000]
    cases = []
    for dtype in ("float32", "float16"):
        for size in sizes:
            stream = generator(42)
            draws = [torch.randn(n, generator=stream, dtype=getattr(torch, dtype)).float().tolist() for n in (size, 16)]
            cases.append({"dtype": dtype, "size": size, "draws": draws})
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "goldens")
    out = parser.parse_args().out
    models = out / "diffusion-models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    result: dict = {"versions": {name: version(name) for name in ("torch", "diffusers", "transformers")}}
    pipes = pipelines()
    for name, pipe in pipes.items():
        export(pipe, models / name)
        result.setdefault("textToImage", []).extend(text_cases(name, pipe))
    first = result["textToImage"][0]
    start = np.frombuffer(base64.b64decode(first["imageBase64"]), np.uint8).reshape(first["imageShape"])
    result["imageToImage"] = [case for name, pipe in pipes.items() for case in image_cases(name, pipe, start, models / name)]
    result["tiled"] = tiled_cases(pipes["sd1"])
    result["distilled"] = distilled_cases(models / "lcm", pipes["sd1"])
    square = [case for case in result["textToImage"] if case["imageShape"] == [32, 32, 3]]
    result["safety"] = safety_cases(models / "safety", square)
    quantize(models / "sd1", models / "sd1-int8")
    result["half"] = half_cases(pipes["sd1"], models / "sd1", models / "sd1-fp16")
    result["tokens"] = token_cases()
    result["noise"] = noise_cases()
    (out / "diffusion.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
