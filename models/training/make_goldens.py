"""Writes the golden numbers that the TypeScript side is tested against, from the reference implementations.

Each section is one JSON file in `goldens/`: rng (torch), tokenizer (transformers), schedulers (diffusers), pipeline
(diffusers), encoders (onnxruntime), metrics (scikit-image), opt and prompts (transformers),
statistics (SciPy). Floats are float32 in their shortest exact decimal form.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

import scheduler_goldens
from creatures.feedback_rounds import join_prompt
from encoder_data import to_pixel_values
from onnx_files import open_session

HERE = Path(__file__).parent
PACK = HERE.parent / "packs" / "creatures"
DATASET = HERE.parent.parent / "examples" / "datasets" / "creatures"

RNG_SEEDS = [0, 1, 42, 4294967295]
# Below 16 elements torch fills one by one in double precision; from 16 on it fills in blocks of 16 with a rule of its own for the rest.
RNG_SIZES = [5, 15, 16, 17, 31]

# Stable Diffusion's noise schedule, as in the pack's scheduler_config.json.
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}

HARD_TEXTS = [
    "",
    " ",
    "A green creature.",
    "A purple round monster with three eyes, long ears and butterfly wings on a blue background.",
    "AN ORANGE ANIMAL WITH A ZIGZAG TAIL",
    "  leading,   double  and trailing spaces  ",
    "tabs\tand\nnew\r\nlines",
    "it's the creature's tail, isn't it? they'll say we've won; i'd agree, i'm sure you're right",
    "numbers 1234567890 and 3.14159, 1st 2nd",
    "punctuation!!! (really?) [yes] {no} <maybe> ...--- #$%^&*_+=|\\/~`",
    "caf\u00e9 na\u00efve \u00fcber \u00c5ngstr\u00f6m \u0153uvre",
    "decomposed cafe\u0301 and u\u0308ber",
    "\u00c9COLE stra\u00dfe \u0130stanbul \u01c5",
    "\u039f\u0394\u039f\u03a3, \u03c0\u03c1\u03ac\u03c3\u03b9\u03bd\u03bf\u03c2 \u03a3",
    "\u7eff\u8272\u7684\u5c0f\u602a\u7269",
    "\u3082\u306e\u3059\u3054\u3044\u602a\u7363\u30d4\u30ab\u30c1\u30e5\u30a6",
    "\u0417\u0435\u043b\u0451\u043d\u043e\u0435 \u0441\u0443\u0449\u0435\u0441\u0442\u0432\u043e",
    "\u0645\u062e\u0644\u0648\u0642 \u0623\u062e\u0636\u0631",
    "\u0939\u0930\u093e \u092a\u094d\u0930\u093e\u0923\u0940",
    "\u0e2a\u0e31\u0e15\u0e27\u0e4c\u0e2a\u0e35\u0e40\u0e02\u0e35\u0e22\u0e27",
    "a happy \U0001f600 creature \U0001f680",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 flag \U0001f1e9\U0001f1ea thumb \U0001f44d\U0001f3fd",
    "control \u0000\u0001\u0007\u001b[31m characters \u007f\u0085",
    "zero\u200bwidth\ufeff and\u00a0no-break\u2009thin\u3000ideographic spaces",
    "quotes \u201ccurly\u201d \u2018single\u2019 \u00abguillemets\u00bb dash \u2014 ellipsis \u2026",
    "superscript x\u00b2 fraction \u00bd roman \u2167 circled \u2460 fullwidth \uff21\uff22\uff11\uff12",
    "ligature \ufb01sh and \ufdfa",
    "math \U0001d504\U0001d505 and \u221e \u2260 \u2211",
    "<|startoftext|> and <|endoftext|> inside the text",
    "<|endoftext|><|endoftext|>",
    "under_scored snake_case kebab-case camelCase",
    "a" * 300,
    " ".join(["a round green creature with long ears"] * 20),
    "!" * 200,
    "\U0001f600" * 60,
    "&amp; &lt;b&gt; &#39;quoted&#39; html",
    "lone surrogate avoided; private use \ue000 and noncharacter \ufffe",
]


def floats(values: torch.Tensor | np.ndarray) -> list[float]:
    """The float32 values, flattened, each as the shortest decimal that reads back as the same float32."""
    flat = np.asarray(values, dtype=np.float32).reshape(-1)
    return [float(str(value)) for value in flat]


def cpu_generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def make_rng(_: argparse.Namespace) -> dict:
    cases = []
    for seed in RNG_SEEDS:
        for shape in [[1, 4, 16, 16]] + [[size] for size in RNG_SIZES]:
            values = torch.randn(shape, generator=cpu_generator(seed))
            cases.append({"seed": seed, "shape": shape, "values": floats(values)})
    successive = []
    for seed in RNG_SEEDS:  # several draws from one generator: what one leaves behind is part of the next
        generator = cpu_generator(seed)
        shapes = [[5], [16], [17], [5], [1, 4, 4, 4]]
        draws = [{"shape": shape, "values": floats(torch.randn(shape, generator=generator))} for shape in shapes]
        successive.append({"seed": seed, "draws": draws})
    raw = []
    for seed in RNG_SEEDS:
        # One 32-bit output of the Mersenne Twister each (modulo 2^32 - 1).
        values = torch.empty(8, dtype=torch.int64).random_(0, 2**32 - 1, generator=cpu_generator(seed))
        uniform = torch.rand(8, generator=cpu_generator(seed))
        raw.append({"seed": seed, "int64Random": values.tolist(), "uniform": floats(uniform)})
    return {"source": f"torch {torch.__version__}, torch.randn(shape, generator=torch.Generator('cpu').manual_seed(seed))",
            "tolerance": "2 units in the last place", "randn": cases, "successive": successive, "raw": raw}  # fmt: skip


def make_tokenizer(_: argparse.Namespace) -> dict:
    import transformers
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(PACK / "diffusion" / "tokenizer")
    cases = []
    for text in HARD_TEXTS:
        padded = tokenizer(text, padding="max_length", max_length=77, truncation=True)["input_ids"]
        cases.append({"text": text, "ids": tokenizer(text)["input_ids"], "padded77": padded})
    return {"source": f"transformers {transformers.__version__} CLIPTokenizer, the pack's diffusion/tokenizer",
            "note": "ids: no padding, no truncation; padded77: padding='max_length', max_length=77, truncation=True",
            "cases": cases}  # fmt: skip


def make_schedulers(_: argparse.Namespace) -> dict:
    return scheduler_goldens.make_schedulers()


def read_items(count: int, split: str = "test") -> list[dict]:
    """The first rows of a split of the demo dataset, each with its picture's path relative to the dataset as `path`."""
    lines = (DATASET / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    return [{**row, "path": f"{split}/{row['file_name']}"} for row in map(json.loads, lines)]


def read_picture(path: str) -> np.ndarray:
    """uint8 [64, 64, 3]; the path is relative to the dataset."""
    return np.asarray(Image.open(DATASET / path).convert("RGB"))


def make_pipeline(arguments: argparse.Namespace) -> dict:
    import diffusers
    from diffusers import (
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        PNDMScheduler,
        StableDiffusionPipeline,
        UniPCMultistepScheduler,
    )

    if arguments.diffusers is None:
        raise SystemExit("the section 'pipeline' needs --diffusers, the folder that the pack was exported from")
    pipeline = StableDiffusionPipeline.from_pretrained(
        arguments.diffusers, torch_dtype=torch.float32, safety_checker=None, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    schedulers = {
        "ddim": pipeline.scheduler,
        "dpmsolver++": DPMSolverMultistepScheduler(**BETAS, algorithm_type="dpmsolver++", steps_offset=1),
        "pndm": PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1),
        "euler_a": EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
        "unipc": UniPCMultistepScheduler(**BETAS, steps_offset=1),
    }
    items = read_items(3)
    prompts = [items[0]["text"], join_prompt(items[1]["text"], items[1]["feedback"]), items[2]["description"]]
    cases = []
    for name, scheduler in schedulers.items():
        pipeline.scheduler = scheduler
        for prompt, seed in list(zip(prompts, [1, 42, 4294967295], strict=True))[: 3 if name in ("ddim", "dpmsolver++") else 1]:
            options = {"num_inference_steps": 20, "guidance_scale": 5.0, "height": 64, "width": 64}
            latents = pipeline(prompt, **options, generator=cpu_generator(seed), output_type="latent").images
            picture = np.asarray(pipeline(prompt, **options, generator=cpu_generator(seed), output_type="pil").images[0])
            cases.append({"scheduler": name, "config": json.loads(scheduler.to_json_string()), "prompt": prompt, "seed": seed,
                          "numInferenceSteps": 20, "guidanceScale": 5, "negativePrompt": "", "latentShape": list(latents.shape),
                          "latents": floats(latents), "imageShape": list(picture.shape),
                          "imageBase64": base64.b64encode(picture.tobytes()).decode()})  # fmt: skip
    return {"source": f"diffusers {diffusers.__version__} StableDiffusionPipeline in float32, torch {torch.__version__}",
            "note": "imageBase64: uint8, row by row, RGB. The pack's ONNX files hold exactly these weights; expect latents within "
                    "1e-3 and pixels within 1 of 255", "cases": cases}  # fmt: skip


def make_encoders(_: argparse.Namespace) -> dict:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(PACK / "selector" / "tokenizer.json"))
    tokenizer.enable_truncation(77)
    end_id = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.enable_padding(length=77, pad_id=end_id, pad_token="<|endoftext|>")
    text_model = open_session(PACK / "selector" / "onnx" / "text_model.onnx")
    vision_model = open_session(PACK / "selector" / "onnx" / "vision_model.onnx")
    similarity = open_session(PACK / "similarity" / "onnx" / "model.onnx")
    items = read_items(3)
    pixels = to_pixel_values(np.stack([read_picture(item["path"]) for item in items])).numpy()
    ids = np.array([encoding.ids for encoding in tokenizer.encode_batch([item["text"] for item in items])], dtype=np.int64)
    text_embeds = text_model.run(["text_embeds"], {"input_ids": ids})[0]
    image_embeds = vision_model.run(["image_embeds"], {"pixel_values": pixels})[0]
    similarity_embeds = similarity.run(["image_embeds"], {"pixel_values": pixels})[0]
    return {"source": f"onnxruntime {onnxruntime.__version__}, the pack's files",
            "note": "pictures are relative to examples/datasets/creatures; matrices are [captions or pictures][pictures], row by row",
            "items": [{"id": item["id"], "picture": item["path"], "caption": item["text"],
                       "selectorText": floats(text_embeds[i]), "selectorImage": floats(image_embeds[i]),
                       "similarityImage": floats(similarity_embeds[i])} for i, item in enumerate(items)],
            "selectorCosines": floats(text_embeds @ image_embeds.T),
            "similarityDots": floats(similarity_embeds @ similarity_embeds.T)}  # fmt: skip


def make_metrics(arguments: argparse.Namespace) -> dict:
    import skimage
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    made = next(folder for folder in (arguments.out, HERE / "goldens") if (folder / "pipeline.json").exists())
    generated = json.loads((made / "pipeline.json").read_text())["cases"]

    def load(name: str) -> np.ndarray:
        if name.startswith("pipeline:"):
            case = generated[int(name.removeprefix("pipeline:"))]
            return np.frombuffer(base64.b64decode(case["imageBase64"]), dtype=np.uint8).reshape(case["imageShape"])
        return read_picture(name)

    paths = [item["path"] for item in read_items(3)]
    pairs = [(paths[0], paths[1]), (paths[1], "pipeline:1"), (paths[2], "pipeline:5"), (paths[0], paths[0])]
    cases = []
    for one, other in pairs:
        a, b = load(one), load(other)
        ssim = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
        )
        same = np.array_equal(a, b)
        psnr = None if same else float(peak_signal_noise_ratio(a, b, data_range=255))
        cases.append({"a": one, "b": other, "ssim": float(ssim), "psnr": psnr, "meanAbsolute": float(np.abs(a.astype(float) - b).mean())})
    return {"source": f"scikit-image {skimage.__version__}: structural_similarity(gaussian_weights=True, sigma=1.5, "
                      "use_sample_covariance=False, data_range=255, channel_axis=2), peak_signal_noise_ratio(data_range=255)",
            "note": "pictures are relative to examples/datasets/creatures, or 'pipeline:<n>' = case n of pipeline.json; "
                    "psnr null = infinite (equal pictures)", "cases": cases}  # fmt: skip


PAPERS_PROMPT = """Below is an image generated by a diffusion model based on the caption. Write feedback for the model to improve.

### Caption:
{original_caption}

### Image:
{encoded_image}

### Feedback:
"""


def make_opt(arguments: argparse.Namespace) -> dict:
    """Token sequences built from the paper's text, and what the torch model writes after them."""
    import transformers
    from transformers import AutoTokenizer, OPTForCausalLM, ViTMAEConfig

    folder = arguments.opt
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = OPTForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    session = open_session(PACK / "vit-mae" / "onnx" / "model.onnx")
    edge = ViTMAEConfig.from_pretrained(PACK / "vit-mae").image_size
    before, after = PAPERS_PROMPT.split("{encoded_image}")

    def mean_patch(pixels: np.ndarray, seed: int) -> np.ndarray:
        """uint8 [112, 112, 3] -> float32 [d]"""
        values = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
        noise = torch.rand(1, 196, generator=cpu_generator(seed))
        states = session.run(["last_hidden_state"], {"pixel_values": values[None].numpy(), "noise": noise.numpy()})[0]
        return states[0].mean(0, dtype=np.float64).astype(np.float32)

    def enlarged(path: str) -> Image.Image:
        return Image.fromarray(read_picture(path)).resize((edge, edge), Image.Resampling.BICUBIC)

    cases = []
    for number, item in enumerate(read_items(6)):
        features = mean_patch(np.asarray(enlarged(item["path"])), 100 + number)
        image_ids = [int(np.trunc(np.float32(1000) * value)) % model.config.vocab_size for value in features]
        words = tokenizer(before.replace("{original_caption}", item["text"]), add_special_tokens=False)["input_ids"]
        ids = [tokenizer.bos_token_id, *words, *image_ids, *tokenizer(after, add_special_tokens=False)["input_ids"]]
        output = model.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), max_new_tokens=48, do_sample=False
        )
        text = tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True).strip()
        cases.append({"caption": item["text"], "features": floats(features), "ids": ids, "text": text})
    picture = enlarged(read_items(1)[0]["path"])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    mean = {
        "pngBase64": base64.b64encode(buffer.getvalue()).decode(), "noiseSeed": 100,
        "features": floats(mean_patch(np.asarray(picture), 100)),
    }  # fmt: skip
    return {"source": f"transformers {transformers.__version__}: the paper's prompt by the folder's tokenizer, greedy OPTForCausalLM.generate; "
                      "ONNX Runtime for ViT-MAE", "cases": cases, "meanPatch": mean}  # fmt: skip


def make_prompts(_: argparse.Namespace) -> dict:
    """Prompts that are more than one text: windows of 77 tokens one after the other, and encodings mixed by weight."""
    import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(PACK / "diffusion" / "tokenizer")
    session = open_session(PACK / "diffusion" / "text_encoder" / "model.onnx")

    def encode(ids: list[int]) -> np.ndarray:
        padded = [*ids, *[tokenizer.pad_token_id] * (77 - len(ids))]
        return session.run(["last_hidden_state"], {"input_ids": np.array([padded], dtype=np.int32)})[0]

    def window(text: str) -> np.ndarray:
        return encode(tokenizer(text, truncation=True, max_length=77)["input_ids"])

    descriptions = [item["description"] for item in read_items(6)]
    long = " ".join(descriptions)
    content = tokenizer(long)["input_ids"][1:-1]
    parts = [content[i : i + 75] for i in range(0, len(content), 75)]
    chunked = np.concatenate([encode([tokenizer.bos_token_id, *part, tokenizer.eos_token_id]) for part in parts], 1)
    one, other = descriptions[:2]
    mixed = np.float32(0.7) * window(one) + np.float32(0.3) * window(other)
    return {"source": f"transformers {transformers.__version__} CLIPTokenizer; ONNX Runtime",
            "note": "of each state the first four numbers",
            "chunk": {"text": long, "contentTokens": len(content), "states": [floats(row[:4]) for row in chunked[0]]},
            "blend": {"texts": [one, other], "weights": [0.7, 0.3], "states": [floats(row[:4]) for row in mixed[0]]}}  # fmt: skip


def make_statistics(_: argparse.Namespace) -> dict:
    """What SciPy says of small data sets: BCa intervals on given resamples, permutation tests, normal quantiles, Holm."""
    import scipy
    from scipy import stats

    rng = np.random.default_rng(11)
    data = {
        "normal": rng.normal(0.2, 1, 12),
        "skewed": rng.exponential(1, 16) - 0.6,
        "ties": np.array([0, 0, 1, -1, 2, 2, 0, 1.0]),
        "small": np.array([0.5, -0.1, 0.3, 0.9, 0.2]),
        "large": rng.standard_t(3, 60) + 0.3,
    }
    cases = []
    for name, values in data.items():
        # The same resamples on both sides: what is compared is the interval, not the dice.
        resamples = rng.integers(0, len(values), (500, len(values)))
        result = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(5))
        means = values[resamples].mean(1)
        theta = values.mean()
        below = ((means < theta - 1e-12).mean() + (means <= theta + 1e-12).mean()) / 2
        bias = stats.norm.ppf(below)
        jackknife = (values.sum() - values) / (len(values) - 1)
        d = jackknife.mean() - jackknife
        acceleration = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
        ends = [stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in stats.norm.ppf([0.025, 0.975])]
        permutation = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf if len(values) <= 16 else 99_999,
                                             rng=np.random.default_rng(7))  # fmt: skip
        cases.append({
            "name": name, "values": values.tolist(), "means": means.tolist(), "bca": np.quantile(means, ends).tolist(),
            "scipyBca": [float(result.confidence_interval.low), float(result.confidence_interval.high)],
            "scipyBcaError": float(result.standard_error), "pValue": float(permutation.pvalue), "exact": len(values) <= 16,
            "effectSize": float(values.mean() / values.std(ddof=1)),
        })  # fmt: skip
    probabilities = [1e-10, 1e-4, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-6]
    families = [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [0.0001], [0.2, 0.001, 0.2, 0.04, 0.04]]
    holm = []
    for family in families:
        order = np.argsort(family, kind="stable")
        stepped = np.maximum.accumulate([min(1, (len(family) - k) * family[i]) for k, i in enumerate(order)])
        adjusted = np.empty(len(family))
        adjusted[order] = stepped
        holm.append({"p": family, "adjusted": adjusted.tolist()})
    groups = rng.normal(0, 1, (8, 1)) + rng.normal(0, 0.5, (8, 4))
    within = groups.var(1, ddof=1).mean()
    between = max(0.0, (4 * groups.mean(1).var(ddof=1) - within) / 4)
    f_value = float(stats.f_oneway(*groups).statistic)
    return {"source": f"scipy {scipy.__version__}: stats.bootstrap(method='BCa'), permutation_test, norm, f_oneway; numpy {np.__version__}",
            "cases": cases, "holm": holm,
            "normal": [{"p": p, "quantile": float(stats.norm.ppf(p))} for p in probabilities],
            "variance": {"groups": groups.tolist(), "between": float(between), "within": float(within), "f": f_value}}  # fmt: skip


SECTIONS: dict[str, Callable[[argparse.Namespace], dict]] = {
    "rng": make_rng,
    "tokenizer": make_tokenizer,
    "schedulers": make_schedulers,
    "pipeline": make_pipeline,
    "encoders": make_encoders,
    "metrics": make_metrics,
    "opt": make_opt,
    "prompts": make_prompts,
    "statistics": make_statistics,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated (default: all)")
    parser.add_argument("--diffusers", type=Path, help="folder of the diffusers pipeline (safetensors); needed by: pipeline")
    parser.add_argument("--opt", type=Path, help="the opt critic as transformers has it (safetensors); needed by: opt")
    parser.add_argument("--out", type=Path, default=HERE / "goldens")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.sections.split(","):
        path = arguments.out / f"{name}.json"
        path.write_text(json.dumps(SECTIONS[name](arguments), ensure_ascii=True, indent=None, separators=(",", ":")) + "\n")
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
