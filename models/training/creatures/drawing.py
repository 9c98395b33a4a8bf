"""Draws a creature from its attributes: pure Pillow and numpy, our own shapes, no foreign material.

Coordinates are in units of the 64 x 64 picture; drawing happens at four times that size and is scaled down at the end.
The order of the calls to the random generator is part of the format: the bundled weights were trained on these pictures.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from .attributes import Creature

Color = tuple[int, int, int]
Point = tuple[float, float]

SIZE = 64
OVERSAMPLING = 4
OUTLINE_WIDTH = int(1.15 * OVERSAMPLING)

COLORS: dict[str, Color] = {
    "red": (222, 56, 49),
    "orange": (245, 146, 40),
    "yellow": (250, 214, 62),
    "green": (84, 178, 78),
    "blue": (66, 122, 222),
    "purple": (146, 84, 196),
    "pink": (246, 150, 190),
    "brown": (142, 96, 60),
    "gray": (150, 154, 160),
    "white": (250, 246, 236),
}
BACKGROUNDS: dict[str, Color] = {
    "white": (255, 255, 255),
    "blue": (196, 224, 250),
    "green": (206, 240, 200),
    "yellow": (255, 244, 186),
    "pink": (255, 216, 228),
}
INK: Color = (20, 16, 30)
WHITE: Color = (255, 255, 255)
GOLD: Color = (255, 226, 70)


def mix(one: Color, other: Color, share: float) -> Color:
    """`share` 0 gives the first colour, 1 the second."""
    return tuple(int(round(a * (1 - share) + b * share)) for a, b in zip(one, other))


def ellipse(cx: float, cy: float, rx: float, ry: float, points: int = 48, rotation: float = 0.0) -> np.ndarray:
    """Outline of an ellipse as [points, 2]; the rotation is in radians."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x = rx * np.cos(angle)
    y = ry * np.sin(angle)
    cosine, sine = math.cos(rotation), math.sin(rotation)
    return np.stack([cx + x * cosine - y * sine, cy + x * sine + y * cosine], 1)


def smooth(corners: Iterable[Point], rounds: int = 3) -> np.ndarray:
    """Chaikin's corner cutting on a closed polygon."""
    outline = np.asarray(corners, float)
    for _ in range(rounds):
        following = np.roll(outline, -1, 0)
        outline = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], 1).reshape(-1, 2)
    return outline


def bezier(start: Point, control1: Point, control2: Point, end: Point, points: int = 24) -> np.ndarray:
    """A cubic Bezier curve as [points, 2]."""
    t = np.linspace(0, 1, points)[:, None]
    p0, p1, p2, p3 = map(np.asarray, (start, control1, control2, end))
    return (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t * t * p2 + t**3 * p3


def body_outline(shape: str, cx: float, cy: float, r: float) -> np.ndarray:
    """Outline [n, 2] of the body around its centre with the radius `r`."""
    if shape == "round":
        return ellipse(cx, cy, r, r * 0.96)
    if shape == "tall":
        return ellipse(cx, cy - 0.5, r * 0.72, r * 1.2)
    if shape == "square":  # a superellipse
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        cosine, sine = np.cos(angle), np.sin(angle)
        x = cx + r * 0.98 * np.sign(cosine) * np.abs(cosine) ** 0.28
        y = cy + r * 0.92 * np.sign(sine) * np.abs(sine) ** 0.28
        return np.stack([x, y], 1)
    if shape == "star":
        corners = []
        for i in range(10):
            angle = -math.pi / 2 + i * math.pi / 5
            reach = r * (1.32 if i % 2 == 0 else 0.8)
            corners.append((cx + reach * math.cos(angle), cy + reach * math.sin(angle)))
        return smooth(corners, 2)
    if shape == "pear":
        return smooth(
            [
                (cx - r * 0.34, cy - r * 1.12),
                (cx + r * 0.34, cy - r * 1.12),
                (cx + r * 0.56, cy - r * 0.3),
                (cx + r * 1.1, cy + r * 0.4),
                (cx + r * 0.85, cy + r * 1.0),
                (cx, cy + r * 1.08),
                (cx - r * 0.85, cy + r * 1.0),
                (cx - r * 1.1, cy + r * 0.4),
                (cx - r * 0.56, cy - r * 0.3),
            ],
            3,
        )
    if shape == "triangle":
        return smooth(
            [
                (cx, cy - r * 1.5),
                (cx, cy - r * 1.3),
                (cx + r * 1.2, cy + r * 0.9),
                (cx + r * 1.0, cy + r * 0.98),
                (cx - r * 1.0, cy + r * 0.98),
                (cx - r * 1.2, cy + r * 0.9),
            ],
            2,
        )
    raise ValueError(f"unknown body shape {shape!r}")


class Canvas:
    """An oversampled picture with the two strokes that everything is made of."""

    def __init__(self, image: Image.Image, line: Color) -> None:
        self.image = image
        self.line = line
        self.pen = ImageDraw.Draw(image)

    def polygon(self, outline: Iterable[Point], fill: Color, outlined: bool = True, line: Color | None = None) -> None:
        points = to_pixels(outline)
        self.pen.polygon(points, fill=fill)
        if outlined:
            self.outline(points, line or self.line)

    def outline(self, points: list[Point], line: Color) -> None:
        """Strokes a closed polygon whose points are in pixels already."""
        self.pen.line(points + [points[0], points[1]], fill=line, width=OUTLINE_WIDTH, joint="curve")

    def curve(self, path: Iterable[Point], width: float, color: Color) -> None:
        """A stroke with round ends."""
        points = to_pixels(path)
        self.pen.line(points, fill=color, width=max(1, int(width * OVERSAMPLING)), joint="curve")
        half = width * OVERSAMPLING / 2
        for x, y in (points[0], points[-1]):
            self.pen.ellipse([x - half, y - half, x + half, y + half], fill=color)


def to_pixels(outline: Iterable[Point]) -> list[Point]:
    return [(float(x) * OVERSAMPLING, float(y) * OVERSAMPLING) for x, y in outline]


class Painter:
    """Paints one creature, back to front. Holds the geometry that its parts share."""

    def __init__(self, creature: Creature, seed: int) -> None:
        self.creature = creature
        self.rng = random.Random(seed * 7919 + 13)
        self.base = self.jitter(COLORS[creature["color"]])
        self.line = mix(self.base, INK, 0.68)
        self.dark = mix(self.base, INK, 0.3)
        self.background = BACKGROUNDS[creature["background"]]
        if creature["background"] != "white":
            self.background = self.jitter(self.background, 4)
        pixels = SIZE * OVERSAMPLING
        self.canvas = Canvas(Image.new("RGB", (pixels, pixels), self.background), self.line)
        self.scale = self.rng.uniform(0.97, 1.03)
        self.cx = 32 + self.rng.uniform(-0.5, 0.5)
        self.cy = 35.5 + self.rng.uniform(-0.5, 0.5)
        self.r = 13.2 * self.scale
        self.tail_side = self.rng.choice([-1, 1])
        if creature["limbs"] == "none":
            self.cy -= 1.0
        self.body = body_outline(creature["shape"], self.cx, self.cy, self.r)
        self.top = float(self.body[:, 1].min())
        self.bottom = float(self.body[:, 1].max())

    def jitter(self, color: Color, amount: int = 8) -> Color:
        return tuple(max(0, min(255, channel + self.rng.randint(-amount, amount))) for channel in color)

    def half_width(self, y: float) -> float:
        """Half the body's width at the height `y`."""
        near = np.abs(self.body[:, 1] - y) < 2.0
        return float(np.abs(self.body[near, 0] - self.cx).max()) if near.any() else self.r * 0.7

    def paint(self) -> Image.Image:
        self.shadow()
        self.tail()
        self.wings()
        self.head()
        self.legs()
        self.torso()
        self.eyes()
        self.mouth()
        return self.canvas.image

    def shadow(self) -> None:
        color = mix(self.background, (90, 90, 110), 0.28)
        if self.creature["limbs"] == "none":  # it floats: a small shadow far below
            self.canvas.polygon(ellipse(self.cx, 60, 8 * self.scale, 1.5), color, False)
        else:
            ground = min(60.5, self.bottom + 5.5)
            self.canvas.polygon(ellipse(self.cx, ground, 14 * self.scale, 1.9), color, False)

    def tail(self) -> None:
        kind, f = self.creature["tail"], self.tail_side
        y = self.bottom - 5
        x = self.cx + f * (self.half_width(y) - 2)
        if kind == "long":
            path = bezier((x, y), (x + f * 12, y + 7), (x + f * 17, y - 3), (x + f * 10, y - 11))
            self.canvas.curve(path, 3.9, self.line)
            self.canvas.curve(path, 2.2, self.base)
        elif kind == "bushy":
            center_x, center_y = x + f * 8, y - 3
            corners = []
            for i in range(18):
                angle = i * math.pi / 9
                reach = 1.0 if i % 2 == 0 else 0.74
                corners.append((center_x + 8.6 * reach * math.cos(angle) * 0.86, center_y + 8.6 * reach * math.sin(angle)))
            self.canvas.polygon(smooth(corners, 1), mix(self.base, WHITE, 0.35))
        elif kind == "lightning":
            offsets = [
                (-1, -1.5), (6, 2), (5, -3.5), (11, -1.5), (9.5, -8), (17, -12),
                (15.5, -1), (13.5, 4.5), (8.5, 2.5), (9, 7.5), (-1, 3),
            ]  # fmt: skip
            self.canvas.polygon([(x + f * dx, y + dy) for dx, dy in offsets], GOLD)

    def wings(self) -> None:
        kind, canvas = self.creature["wings"], self.canvas
        y = self.cy - 3.5 * self.scale
        for side in (-1, 1):
            x = self.cx + side * (self.half_width(y) - 2)
            if kind == "bat":
                offsets = [(0, 3), (3, -6), (7, -12.5), (15, -9), (17, 3), (12.5, -0.5), (10.5, 5), (6.5, 1), (4, 6)]
                canvas.polygon([(x + side * dx, y + dy) for dx, dy in offsets], mix(self.dark, (70, 50, 90), 0.55))
                for dx, dy in ((12.5, -0.5), (6.5, 1)):
                    canvas.curve([(x + side * 7, y - 12), (x + side * dx, y + dy)], 0.7, self.line)
            elif kind == "feather":
                for angle, length in ((0.95, 11), (0.45, 15), (-0.1, 15.5), (-0.65, 13)):
                    cx = x + side * length * 0.5 * math.cos(angle)
                    cy = y - length * 0.5 * math.sin(-angle + 0.5) * -1 - 3
                    feather = ellipse(cx, cy, length * 0.55, 2.9, 24, side * (angle - 0.35))
                    canvas.polygon(feather, (250, 250, 252), True, mix(self.line, (120, 120, 140), 0.6))
            elif kind == "butterfly":
                warm = self.creature["color"] in ("orange", "yellow", "red")
                color = (110, 196, 240) if warm else (255, 176, 72)
                canvas.polygon(ellipse(x + side * 8, y - 5, 8.6, 6.4, 32, -side * 0.6), color)
                canvas.polygon(ellipse(x + side * 6.3, y + 6, 6, 4.6, 32, side * 0.6), color)
                canvas.polygon(ellipse(x + side * 9, y - 5.5, 3.2, 2.6, 20), (255, 244, 214), False)
                canvas.polygon(ellipse(x + side * 7, y + 6, 2, 1.7, 20), (255, 244, 214), False)

    def head(self) -> None:
        kind, canvas, cx = self.creature["head"], self.canvas, self.cx
        y = self.top + 1.6
        half = min(self.half_width(self.top + 3.5), 8)
        if self.creature["shape"] in ("star", "triangle", "pear"):
            half = max(4.2, half * 0.8)
        if kind == "horns":
            for side in (-1, 1):
                x = cx + side * half * 0.8
                offsets = [(-2.6, 3.5), (-0.4, -3), (4.6, -8.5), (4.4, -1), (2.8, 5)]
                canvas.polygon([(x + side * dx, y + dy) for dx, dy in offsets], (244, 232, 196))
        elif kind == "ears":
            for side in (-1, 1):
                x = cx + side * half * 0.7
                canvas.polygon(ellipse(x + side * 2.2, y - 5.5, 3.4, 10, 28, side * 0.24), self.base)
                inside = mix(self.base, (255, 214, 220), 0.72)
                canvas.polygon(ellipse(x + side * 2.3, y - 5.2, 1.5, 6.6, 24, side * 0.24), inside, False)
        elif kind == "antennae":
            for side in (-1, 1):
                x = cx + side * half * 0.45
                canvas.curve(bezier((x, y + 3), (x + side * 0.5, y - 5), (x + side * 4, y - 8), (x + side * 6, y - 9)), 1.3, self.line)
                canvas.polygon(ellipse(x + side * 6, y - 9.2, 2.5, 2.5, 20), GOLD)
        elif kind == "spikes":
            warm = self.creature["color"] in ("red", "orange", "pink")
            color = (92, 110, 200) if warm else mix(self.base, (255, 90, 60), 0.75)
            for i in range(-2, 3):
                x = cx + i * half * 0.46
                height = 8.5 - abs(i) * 1.2
                foot = y + abs(i) * 0.8
                canvas.polygon([(x - 2.4, foot + 4), (x + i * 0.5, foot - height), (x + 2.4, foot + 4)], color)
        elif kind == "leaf":
            canvas.curve([(cx, y + 3), (cx + 0.3, y - 3)], 1.6, (60, 110, 50))
            for side in (-1, 1):
                canvas.polygon(ellipse(cx + side * 5.2, y - 5.6, 5.9, 3, 28, -side * 0.5), (112, 200, 84), True, (44, 92, 44))

    def legs(self) -> None:
        color = mix(self.base, INK, 0.14)
        if self.creature["limbs"] == "two":
            for side in (-1, 1):
                self.canvas.polygon(ellipse(self.cx + side * self.r * 0.48, self.bottom + 1.6, 3.9, 4.6, 24), color)
        elif self.creature["limbs"] == "four":
            for place in (-1, -0.36, 0.36, 1):
                y = self.bottom + 1.5 - (1.6 if abs(place) == 1 else 0)
                self.canvas.polygon(ellipse(self.cx + place * self.r * 0.82, y, 2.5, 5, 24), color)

    def torso(self) -> None:
        """The body; its pattern and belly are painted on a layer of their own and cut out along its outline."""
        canvas = self.canvas
        canvas.polygon(self.body, self.base)
        outline = to_pixels(self.body)
        mask = Image.new("L", canvas.image.size, 0)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        layer = Canvas(canvas.image.copy(), self.line)
        self.pattern(layer)
        self.belly(layer)
        canvas.image.paste(layer.image, (0, 0), mask)
        canvas.pen = ImageDraw.Draw(canvas.image)
        canvas.outline(outline, self.line)

    def pattern(self, layer: Canvas) -> None:
        cx, cy = self.cx, self.cy
        deep = self.creature["color"] in ("brown", "purple", "blue", "gray", "red")
        color = mix(self.base, WHITE, 0.62) if deep else mix(self.base, INK, 0.55)
        if self.creature["pattern"] == "stripes":
            for k in range(-3, 5):
                y = cy - 6 + k * 7.2
                layer.curve(bezier((cx - 22, y - 1.5), (cx - 8, y + 2.5), (cx + 8, y + 2.5), (cx + 22, y - 1.5)), 3.2, color)
        elif self.creature["pattern"] == "spots":
            spots = [
                (-0.72, -0.52, 2.9), (0.7, -0.64, 3.1), (-0.84, 0.28, 3.1), (0.86, 0.22, 2.9),
                (-0.56, 0.86, 2.9), (0.62, 0.84, 3.1), (0, -1.0, 2.8), (0.02, 1.0, 2.7),
            ]  # fmt: skip
            for across, down, radius in spots:
                x = cx + across * min(self.r, self.half_width(cy + down * self.r) + 1)
                y = cy + down * self.r
                spot = ellipse(x + self.rng.uniform(-0.6, 0.6), y + self.rng.uniform(-0.6, 0.6), radius, radius, 20)
                layer.polygon(spot, color, False)

    def belly(self, layer: Canvas) -> None:
        if self.creature["belly"] == "none":
            return
        y = self.cy + self.r * 0.52
        half = min(self.r * 0.6, self.half_width(y) * 0.7)
        layer.polygon(ellipse(self.cx, y, half, self.r * 0.46, 32), self.jitter(COLORS[self.creature["belly"]], 5), False)

    def eyes(self) -> None:
        big = self.creature["eyesize"] == "big"
        count = {"one": 1, "two": 2, "three": 3}[self.creature["eyes"]]
        radius = (4.4 if big else 2.3) * self.scale
        if count == 3 and big:
            radius = 3.9 * self.scale
        if count == 1 and big:
            radius *= 1.22
        gap = radius * 1.9 + (0 if big else 1.6) if count == 3 else radius * 2 + (1.0 if big else 2.6)
        y0 = self.cy - self.r * 0.3
        centers = [(self.cx + (i - (count - 1) / 2) * gap, y0 - (1.6 if count == 3 and i == 1 else 0)) for i in range(count)]
        gaze_x, gaze_y = self.rng.uniform(-0.5, 0.5), self.rng.uniform(-0.3, 0.5)
        for x, y in centers:
            self.canvas.polygon(ellipse(x, y, radius, radius, 28), WHITE, True, (30, 26, 40))
            pupil = radius * (0.56 if big else 0.62)
            self.canvas.polygon(ellipse(x + gaze_x, y + gaze_y, pupil, pupil, 20), (24, 22, 34), False)
            if big:
                glint = ellipse(x + gaze_x + pupil * 0.35, y + gaze_y - pupil * 0.4, pupil * 0.34, pupil * 0.34, 12)
                self.canvas.polygon(glint, WHITE, False)

    def mouth(self) -> None:
        kind, canvas, x = self.creature["mouth"], self.canvas, self.cx
        y = self.cy + self.r * 0.36
        color = (40, 22, 36)
        if kind == "smile":
            canvas.curve(bezier((x - 4.4, y - 1.2), (x - 2.4, y + 2.6), (x + 2.4, y + 2.6), (x + 4.4, y - 1.2)), 1.4, color)
        elif kind == "frown":
            canvas.curve(bezier((x - 4.4, y + 2.2), (x - 2.4, y - 1.8), (x + 2.4, y - 1.8), (x + 4.4, y + 2.2)), 1.4, color)
        elif kind == "open":
            canvas.polygon(ellipse(x, y + 0.6, 3.1, 3.3, 24), (150, 30, 50), True, color)
            canvas.polygon(ellipse(x, y + 2.1, 1.8, 1.3, 16), (244, 120, 140), False)
        elif kind == "fangs":
            canvas.curve([(x - 4.8, y - 0.2), (x + 4.8, y - 0.2)], 1.4, color)
            for side in (-1, 1):
                tooth = [(x + side * 3.7, y + 0.2), (x + side * 2.4, y + 4), (x + side * 1.0, y + 0.2)]
                canvas.polygon(tooth, WHITE, True, color)


def draw_creature(creature: Creature, seed: int = 0, size: int = SIZE) -> Image.Image:
    """The creature as an RGB picture of `size` x `size`; the seed moves colours, place and gaze a little."""
    picture = Painter(creature, seed).paint()
    return picture.resize((size, size), Image.LANCZOS if size <= SIZE else Image.BICUBIC)
