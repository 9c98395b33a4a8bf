/** A piece of a prompt and how strongly it counts; 1 is as it stands. */
export interface WeightedText {
  text: string;
  weight: number;
}

/** What brackets alone multiply the weight around them by. */
const BRACKETS = 1.1;
const NUMBERED = /^([^]+):\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/i;

/**
 * Word weights as ComfyUI reads them: `(x)` counts 1.1 times as much as what is around it, `(x:1.3)` counts 1.3, `\(` and `\)` are
 * brackets. Brackets without a partner, and numbers that are not finite, stand for themselves; ComfyUI gives up on all that follows a `)` too many, and
 * takes a `(` too many for the partner of another's `)`.
 */
export function parseWeights(prompt: string): WeightedText[] {
  const pieces: WeightedText[] = [];
  walk(prompt.replaceAll('\\(', '\u0001').replaceAll('\\)', '\u0002'), 1, pieces);
  return pieces
    .map(({ text, weight }) => ({ text: text.replaceAll('\u0001', '(').replaceAll('\u0002', ')'), weight }))
    .filter(({ text }) => text !== '');
}

function walk(text: string, weight: number, pieces: WeightedText[]): void {
  let depth = 0;
  let begin = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(' && depth++ === 0) {
      pieces.push({ text: text.slice(begin, i), weight });
      begin = i;
    } else if (text[i] === ')' && depth > 0 && --depth === 0) {
      const inner = text.slice(begin + 1, i);
      const [, named, number] = NUMBERED.exec(inner) ?? [];
      const own = Number(number);
      if (Number.isFinite(own)) walk(named!, own, pieces);
      else walk(inner, weight * BRACKETS, pieces);
      begin = i + 1;
    }
  }
  pieces.push({ text: text.slice(begin), weight });
}
