import { parseWeights } from './prompt-weights.js';

const read = (prompt: string) => parseWeights(prompt).map(({ text, weight }) => [text, Number(weight.toFixed(6))]);

test.each<[string, Array<[string, number]>]>([
  ['a green creature', [['a green creature', 1]]],
  ['a (green) creature', [['a ', 1], ['green', 1.1], [' creature', 1]]], // prettier-ignore
  ['((green))', [['green', 1.21]]],
  ['(green:1.5) (blue: .5)', [['green', 1.5], [' ', 1], ['blue', 0.5]]], // prettier-ignore
  ['(a (b:2) c:0.5)', [['a ', 0.5], ['b', 2], [' c', 0.5]]], // prettier-ignore
  ['(a (b) c:0.5)', [['a ', 0.5], ['b', 0.55], [' c', 0.5]]], // prettier-ignore
  ['(green:1e1) (blue:5E-1)', [['green', 10], [' ', 1], ['blue', 0.5]]], // prettier-ignore
  ['(green:1e999)', [['green:1e999', 1.1]]],
  ['(green:) (:2)', [['green:', 1.1], [' ', 1], [':2', 1.1]]], // prettier-ignore
  ['\\(as it stands\\)', [['(as it stands)', 1]]],
  ['(3:4 format)', [['3:4 format', 1.1]]],
  ['an (open one', [['an ', 1], ['(open one', 1]]], // prettier-ignore
  ['(a (b', [['(a (b', 1]]],
  ['(a (b)', [['(a (b)', 1]]],
  ['(a \\(b) c\\)', [['a (b', 1.1], [' c)', 1]]], // prettier-ignore
  ['a closed) one', [['a closed) one', 1]]],
  ['a smile :) and (green)', [['a smile :) and ', 1], ['green', 1.1]]], // prettier-ignore
  ['', []],
])('%s', (prompt, pieces) => expect(read(prompt)).toEqual(pieces));
