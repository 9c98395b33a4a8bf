import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { CurvePoint } from '../storage/training-files.js';

const { document } = parseHTML('<!doctype html><html><body></body></html>') as { document: unknown };

/** More points than the picture has room for only make it large. */
const MAX_POINTS = 400;
const [TRAIN, VALIDATION] = ['#5b7fb4', '#c2410c'];

interface Drawn {
  outerHTML: string;
  setAttribute(name: string, value: string): void;
}

/** Training and validation loss by step, and the step whose adapter was kept, as an SVG file. Above {@link MAX_POINTS} steps the training loss is a mean of neighbours. */
export function curveChart(curve: readonly CurvePoint[], bestStep: number): string {
  const train = thinned(curve.flatMap((point) => ('loss' in point ? [{ step: point.step, loss: point.loss }] : [])));
  const validation = thinned(curve.flatMap((point) => ('loss' in point ? [] : [{ step: point.step, loss: point.validationLoss }])));
  const label = 'Loss on the training and the validation split by optimiser step';
  const ends = [
    ...train.slice(-1).map((point) => ({ ...point, name: 'training', colour: TRAIN })),
    ...validation.slice(-1).map((point) => ({ ...point, name: 'validation', colour: VALIDATION })),
  ];
  const svg = Plot.plot({
    document,
    width: 720,
    height: 340,
    marginRight: 84,
    marginLeft: 56,
    marginBottom: 44,
    ariaLabel: label,
    style: { fontFamily: 'system-ui, sans-serif', fontSize: '13px', background: 'white' },
    x: { label: 'optimiser step', labelAnchor: 'center', labelArrow: 'none' },
    y: { label: 'loss (nats a token)', grid: true, nice: true },
    marks: [
      Plot.ruleX([bestStep], { stroke: '#999', strokeDasharray: '4 4' }),
      Plot.line(train, { x: 'step', y: 'loss', stroke: TRAIN, strokeWidth: 1.6 }),
      Plot.line(validation, { x: 'step', y: 'loss', stroke: VALIDATION, strokeWidth: 2.4 }),
      ...(validation.length <= 40 ? [Plot.dot(validation, { x: 'step', y: 'loss', fill: VALIDATION, r: 3 })] : []),
      Plot.text(ends, { x: 'step', y: 'loss', text: 'name', fill: 'colour', textAnchor: 'start', dx: 8 }),
    ],
  }) as unknown as Drawn;
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  return `${svg.outerHTML}\n`;
}

function thinned(points: Array<{ step: number; loss: number }>): Array<{ step: number; loss: number }> {
  const size = Math.ceil(points.length / MAX_POINTS);
  return Array.from({ length: Math.ceil(points.length / Math.max(1, size)) }, (_, i) => {
    const bin = points.slice(i * size, (i + 1) * size);
    return { step: bin.at(-1)!.step, loss: bin.reduce((sum, { loss }) => sum + loss, 0) / bin.length };
  });
}
