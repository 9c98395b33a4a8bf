"""Draws a scene from its attributes with Pillow: our own shapes, no foreign material.

Coordinates are in units of the 96 x 64 picture; drawing happens at four times that size and is scaled down at the end.
"""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

from .attributes import Scene

Color = tuple[int, int, int]
Point = tuple[float, float]

WIDTH, HEIGHT = 96, 64
OVERSAMPLING = 4
HORIZON = 42

SKIES: dict[str, tuple[Color, Color]] = {
    "day": ((120, 190, 245), (214, 236, 252)),
    "sunset": ((96, 66, 140), (252, 156, 92)),
    "night": ((10, 14, 44), (44, 54, 104)),
}
GROUNDS: dict[str, Color] = {"meadow": (104, 178, 84), "beach": (240, 220, 160), "desert": (222, 166, 96), "snow": (240, 246, 252)}
HILLS: dict[str, Color] = {"meadow": (70, 140, 76), "beach": (88, 156, 120), "desert": (186, 124, 74), "snow": (176, 196, 220)}
COLORS: dict[str, Color] = {
    "red": (214, 58, 50), "blue": (60, 110, 214), "yellow": (246, 206, 62), "white": (250, 248, 242), "purple": (142, 82, 190),
}  # fmt: skip
INK: Color = (40, 34, 44)
SIDES = {"left": 22, "middle": 48, "right": 74}
# Distances from the side's middle, and sizes: the first is nearest.
PLACES = {"one": [(0, 1.0)], "two": [(-9, 0.8), (9, 0.7)], "three": [(0, 0.75), (-14, 0.6), (14, 0.6)]}


class Canvas:
    """Shapes in picture units, darkened for the time of day."""

    def __init__(self, light: float) -> None:
        self.image = Image.new("RGB", (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING))
        self.pen = ImageDraw.Draw(self.image)
        self.light = light

    def lit(self, color: Color) -> Color:
        return tuple(round(part * self.light) for part in color)

    def polygon(self, points: list[Point], color: Color, outline: bool = True) -> None:
        scaled = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        self.pen.polygon(scaled, fill=self.lit(color))
        if outline:
            self.pen.line([*scaled, scaled[0]], fill=self.lit(INK), width=OVERSAMPLING, joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color, outline: bool = False) -> None:
        corners = [part * OVERSAMPLING for part in (x - rx, y - ry, x + rx, y + ry)]
        self.pen.ellipse(corners, fill=self.lit(color), outline=self.lit(INK) if outline else None, width=OVERSAMPLING)

    def line(self, start: Point, end: Point, color: Color, width: float) -> None:
        points = [part * OVERSAMPLING for part in (*start, *end)]
        self.pen.line(points, fill=color, width=round(width * OVERSAMPLING))


def draw_scene(scene: Scene, seed: int) -> Image.Image:
    """The same scene and seed give the same picture."""
    rng = random.Random(f"scene/{seed}")
    canvas = Canvas({"day": 1.0, "sunset": 0.86, "night": 0.5}[scene["time"]])
    draw_sky(canvas, scene, rng)
    draw_land(canvas, scene, rng)
    middle = SIDES[scene["side"]] + rng.uniform(-2, 2)
    for offset, size in sorted(PLACES[scene["count"]], key=lambda place: place[1]):
        x, foot = middle + offset, HORIZON + 14 * size + rng.uniform(-1, 1)
        THINGS[scene["thing"]](canvas, x, foot, 12 * size, COLORS[scene["color"]])
    if scene["weather"] == "rainy":
        for _ in range(46):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            canvas.line((x, y), (x - 1.5, y + 4.5), (186, 208, 236), 0.6)
    return canvas.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def draw_sky(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    top, bottom = SKIES[scene["time"]]
    rows = HORIZON * OVERSAMPLING
    for row in range(rows):
        color = tuple(round(a + (b - a) * row / rows) for a, b in zip(top, bottom))
        canvas.pen.line([(0, row), (WIDTH * OVERSAMPLING, row)], fill=color)
    bright, canvas.light = canvas.light, 1.0  # what shines is not in the shade
    if scene["time"] == "night":
        for _ in range(22):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HORIZON - 12)
            canvas.ellipse(x, y, 0.5, 0.5, (250, 246, 210))
    if scene["weather"] == "clear":
        x, y = rng.uniform(12, 84), 10 if scene["time"] == "day" else 12
        canvas.ellipse(x, y if scene["time"] != "sunset" else HORIZON - 8, 6, 6, (255, 238, 130) if scene["time"] != "night" else (240, 240, 250))
    else:
        gray: Color = (250, 250, 252) if scene["weather"] == "cloudy" else (128, 134, 150)
        if scene["time"] == "night":
            gray = tuple(part // 2 for part in gray)
        for i in range(3):
            x, y = 16 + 32 * i + rng.uniform(-7, 7), rng.uniform(8, 14)
            for dx, dy, r in ((-6, 1, 4.5), (0, -1, 6), (6, 1, 4.5)):
                canvas.ellipse(x + dx, y + dy, r * 1.2, r * 0.8, gray)
    canvas.light = bright


def draw_land(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    color = HILLS[scene["place"]]
    shift = rng.uniform(-8, 8)
    for i, height in enumerate((15, 20, 13)):
        x = 16 + 32 * i + shift
        if scene["hills"] == "round":
            canvas.ellipse(x, HORIZON + 3, 22, height, color, outline=True)
        elif scene["hills"] == "pointed":
            canvas.polygon([(x - 20, HORIZON + 1), (x, HORIZON - height * 1.2), (x + 20, HORIZON + 1)], color)
    canvas.polygon([(0, HORIZON), (WIDTH, HORIZON), (WIDTH, HEIGHT), (0, HEIGHT)], GROUNDS[scene["place"]], outline=False)
    if scene["place"] == "beach":
        canvas.polygon([(0, HORIZON), (WIDTH, HORIZON), (WIDTH, HORIZON + 6), (0, HORIZON + 6)], (66, 140, 206), outline=False)
    marks = {"meadow": (70, 148, 62), "beach": (220, 196, 130), "desert": (196, 138, 72), "snow": (206, 220, 238)}[scene["place"]]
    for _ in range(14):
        x, y = rng.uniform(0, WIDTH), rng.uniform(HORIZON + 8, HEIGHT - 2)
        canvas.ellipse(x, y, 2.2, 0.6, marks)


def house(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    canvas.box(x - size * 0.7, foot - size, x + size * 0.7, foot, color)
    canvas.polygon([(x - size * 0.9, foot - size), (x, foot - size * 1.75), (x + size * 0.9, foot - size)], (122, 76, 60))
    canvas.box(x - size * 0.2, foot - size * 0.55, x + size * 0.2, foot, (92, 62, 50))


def tree(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    canvas.box(x - size * 0.16, foot - size * 0.8, x + size * 0.16, foot, (112, 76, 50))
    canvas.ellipse(x, foot - size * 1.35, size * 0.8, size * 0.85, color, outline=True)


def tent(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    canvas.polygon([(x - size, foot), (x, foot - size * 1.3), (x + size, foot)], color)
    canvas.polygon([(x - size * 0.28, foot), (x, foot - size * 0.8), (x + size * 0.28, foot)], INK)


def tower(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    canvas.box(x - size * 0.42, foot - size * 1.8, x + size * 0.42, foot, color)
    for i in (-1, 0, 1):
        canvas.box(x + size * (0.36 * i - 0.13), foot - size * 2.05, x + size * (0.36 * i + 0.13), foot - size * 1.8, color)
    canvas.box(x - size * 0.12, foot - size * 1.3, x + size * 0.12, foot - size * 0.95, INK)


def windmill(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    canvas.polygon([(x - size * 0.5, foot), (x - size * 0.25, foot - size * 1.4), (x + size * 0.25, foot - size * 1.4), (x + size * 0.5, foot)], color)
    for dx, dy in ((0.75, 0.75), (-0.75, 0.75), (0.75, -0.75), (-0.75, -0.75)):
        canvas.line((x, foot - size * 1.4), (x + dx * size, foot - size * (1.4 + dy)), canvas.lit(INK), 1.4)


THINGS = {"house": house, "tree": tree, "tent": tent, "tower": tower, "windmill": windmill}
