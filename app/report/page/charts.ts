import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { markup, raw, type Markup } from './escape-html.js';
import { direction, formatDelta, formatInterval } from '../format.js';
import type { ArmResult, ResultsDocument } from '../results-document.js';
import type { Timings } from '../timings.js';

const { document } = parseHTML('<!doctype html><html><body></body></html>') as { document: unknown };

/** Drawn twice, because an SVG that is scaled down to a telephone has letters that nobody can read. */
const WIDTHS = { wide: 908, narrow: 340 } as const;
type Width = keyof typeof WIDTHS;

const AXIS_INK = { color: 'var(--muted)', fontSize: 12 } as const;

/** What is used of an SVG element; the program is checked without a browser's types. */
interface Drawn {
  outerHTML: string;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  querySelectorAll(selector: string): Iterable<Drawn>;
}

/** One chart, wide and narrow; `label` is what a screen reader says of it. */
function figure(label: string, draw: (width: Width) => Plot.PlotOptions, legend?: Markup): Markup {
  const drawn = (['wide', 'narrow'] as const).map((width) => {
    const svg = Plot.plot({
      document,
      width: WIDTHS[width],
      ariaLabel: label,
      style: { fontFamily: 'inherit', fontSize: '13px' },
      color: { type: 'identity' },
      ...draw(width),
    }) as unknown as Drawn;
    // The picture as a whole has a name; its parts, which Plot names too, are none to a screen reader.
    for (const part of svg.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label');
    svg.setAttribute('role', 'img');
    return markup`<div class="${width}">${raw(svg.outerHTML)}</div>`;
  });
  return markup`<figure class="chart">${drawn}${legend}</figure>`;
}

/** Colour by the arm's place, so that an arm looks the same in every chart; placebos and the control are dashed. */
interface ArmStyle {
  arm: ArmResult;
  stroke: string;
  dash: string | undefined;
}

const HUES = 6;

function armStyles(doc: ResultsDocument): ArmStyle[] {
  const own = doc.arms.filter((a) => a.placeboOf === null && a.name !== doc.control).map((a) => a.name);
  return doc.arms.map((arm) => {
    const hue = own.indexOf(arm.placeboOf ?? arm.name);
    return {
      arm,
      stroke: arm.name === doc.control || hue < 0 ? 'var(--muted)' : `var(--arm-${(hue % HUES) + 1})`,
      dash: arm.swap === 'picture' ? '2 4' : arm.placeboOf !== null || arm.name === doc.control ? '5 4' : undefined,
    };
  });
}

function legend(styles: readonly ArmStyle[]): Markup {
  return markup`<figcaption>
    <ul class="legend">
      ${styles.map(
        ({ arm, stroke, dash }) =>
          markup`<li>
            <svg width="30" height="10" aria-hidden="true">
              <line x1="1" x2="29" y1="5" y2="5" stroke-width="3" stroke="${stroke}" stroke-dasharray="${dash ?? 'none'}" />
              <circle cx="15" cy="5" r="4" stroke-width="2" stroke="${stroke}" fill="${dash === undefined ? stroke : 'var(--card)'}" />
            </svg>
            ${arm.name}${arm.oracle && ' (oracle)'}
          </li>`,
      )}
    </ul>
  </figcaption>`;
}

interface ForestRow {
  arm: string;
  first: boolean;
  what: string;
  mean: number;
  lo: number;
  hi: number;
  tone: 'gain' | 'loss' | 'none';
  text: string;
}

/** `fixed` gains on the primary metric as a forest plot: per arm its mean differences and their 95% intervals on one axis. */
export function forestChart(doc: ResultsDocument): Markup | null {
  const rows = doc.arms.flatMap((arm) => forestRows(arm, doc.primary));
  if (rows.length === 0) return null;
  const colour = ({ tone }: ForestRow) => (tone === 'none' ? 'var(--muted)' : `var(--${tone})`);
  return figure(`Gains in ${doc.primary} by arm with 95% intervals`, (width) => {
    const wide = width === 'wide';
    // A narrow chart gives an arm's name a line of its own, and every row its words above its interval.
    const lines = wide ? rows : rows.flatMap((row) => (row.first ? [null, row] : [row]));
    const y = (row: ForestRow) => lines.indexOf(row);
    const named = rows.filter((row) => row.first);
    const words = { frameAnchor: 'left', textAnchor: 'start', textOverflow: 'ellipsis', fill: 'var(--ink)' } as const;
    const dy = wide ? 0 : 7;
    return {
      height: lines.length * (wide ? 27 : 36) + 52,
      marginLeft: wide ? 252 : 22,
      marginRight: wide ? 188 : 22,
      marginTop: 6,
      marginBottom: 46,
      x: { nice: true },
      y: { type: 'band', axis: null, domain: lines.map((_, i) => i), paddingInner: 0 },
      marks: [
        Plot.gridX({ stroke: 'var(--line)', strokeOpacity: 1 }),
        differenceAxis(`difference in ${doc.primary}; right of 0 is better`, doc.primary, wide ? 7 : 4),
        Plot.ruleX([0], { stroke: 'var(--muted)', strokeDasharray: '3 3' }),
        Plot.ruleY(rows, { y, x1: 'lo', x2: 'hi', stroke: colour, strokeWidth: 3, strokeLinecap: 'round', dy }),
        Plot.dot(rows, { y, x: 'mean', r: 5, fill: colour, dy }),
        Plot.text(named, { ...words, y: (row: ForestRow) => y(row) - (wide ? 0 : 1), text: 'arm', fontWeight: 650, dx: wide ? -246 : -16, dy: wide ? 0 : 8, lineWidth: wide ? 9 : 24 }),
        Plot.text(rows, { ...words, y, text: 'what', fill: 'var(--muted)', dx: wide ? -116 : -16, dy: wide ? 0 : -8 }),
        Plot.text(rows, { y, frameAnchor: 'right', textAnchor: 'end', text: 'text', fill: 'var(--ink)', dx: wide ? 182 : 16, dy: wide ? 0 : -8 }),
      ],
    }; // prettier-ignore
  });
}

/** An axis of differences along the bottom. */
const differenceAxis = (label: string, metric: string, ticks: number): Plot.Markish =>
  Plot.axisX({
    ...AXIS_INK,
    anchor: 'bottom',
    tickSize: 0,
    ticks,
    tickFormat: (value: number) => formatDelta(value, metric),
    label,
    labelAnchor: 'center',
    labelArrow: 'none',
    labelOffset: 40,
  });

/** An axis of gains along the left. */
const gainAxis = ({ primary }: ResultsDocument): Plot.Markish =>
  Plot.axisY({
    ...AXIS_INK,
    tickSize: 0,
    ticks: 5,
    tickFormat: (value: number) => formatDelta(value, primary),
    label: `gain in ${primary} over round 0`,
    labelArrow: 'up',
  });

function forestRows(arm: ArmResult, primary: string): ForestRow[] {
  const { fixed } = arm.scores[primary]!;
  const against = [
    { what: 'over round 0', mean: fixed.gainMean, ci95: fixed.ci95 },
    { what: 'over control', mean: fixed.vsControl?.mean ?? null, ci95: fixed.vsControl?.ci95 ?? null },
    { what: 'over its placebo', mean: fixed.vsPlacebo?.mean ?? null, ci95: fixed.vsPlacebo?.ci95 ?? null },
  ];
  return against
    .flatMap(({ what, mean, ci95 }) => (mean === null ? [] : [{ what, mean, ci95 }]))
    .map(({ what, mean, ci95 }, i) => ({
      arm: arm.oracle ? `${arm.name} (oracle)` : arm.name,
      first: i === 0,
      what,
      mean,
      lo: ci95?.[0] ?? mean,
      hi: ci95?.[1] ?? mean,
      tone: direction(ci95),
      text: `${formatDelta(mean, primary)} ${formatInterval(ci95, primary)}`,
    }));
}

/** Mean gain over round 0, round by round, with 95% intervals; `null` below two rounds. The control's draws are no sequence: no line. */
export function curveChart(doc: ResultsDocument): Markup | null {
  const styles = armStyles(doc).filter(({ arm }) => arm.curve.length > 2);
  if (styles.length === 0) return null;
  const rounds = Array.from({ length: Math.max(...styles.map(({ arm }) => arm.curve.length)) }, (_, round) => round);
  return figure(
    `Mean gain in ${doc.primary} by round`,
    (width) => ({
      height: 300,
      marginLeft: 56,
      marginBottom: 44,
      x: { domain: [-0.1, rounds.length - 0.75] },
      y: { nice: true },
      marks: [
        Plot.gridY({ stroke: 'var(--line)', strokeOpacity: 1 }),
        Plot.axisX(rounds, { ...AXIS_INK, tickSize: 0, tickFormat: String, label: 'round', labelAnchor: 'center', labelArrow: 'none' }),
        gainAxis(doc),
        Plot.ruleY([0], { stroke: 'var(--muted)', strokeDasharray: '3 3' }),
        ...styles.flatMap(({ arm, stroke, dash }, i) => {
          const aside = { dx: i * (width === 'wide' ? 6 : 4), stroke };
          const whiskers = arm.curve.flatMap(({ round, ci95 }) => (ci95 === null ? [] : [{ round, lo: ci95[0], hi: ci95[1] }]));
          return [
            ...(arm.name === doc.control ? [] : [Plot.line(arm.curve, { ...aside, x: 'round', y: 'gainMean', strokeWidth: 2.5, strokeDasharray: dash })]),
            Plot.ruleX(whiskers, { ...aside, x: 'round', y1: 'lo', y2: 'hi', strokeWidth: 1.5 }),
            Plot.dot(arm.curve, { ...aside, x: 'round', y: 'gainMean', r: 3.5, strokeWidth: 2, fill: dash === undefined ? stroke : 'var(--card)' }),
          ];
        }),
      ],
    }),
    legend(styles),
  ); // prettier-ignore
}

/** Where the gains of single items lie: one histogram an arm, all on one axis. `null` below ten items. */
export function spreadChart(doc: ResultsDocument): Markup | null {
  const left = new Set(doc.excluded.map(({ id }) => id));
  const gains = doc.items
    .filter(({ id }) => !left.has(id))
    .flatMap(({ arms }) => arms.flatMap(({ name, gain }) => (gain[doc.primary] === undefined ? [] : [{ name, gain: gain[doc.primary]! }])));
  const styles = armStyles(doc).filter(({ arm }) => arm.n >= 10);
  if (styles.length === 0) return null;
  const shown = gains.filter(({ name }) => styles.some(({ arm }) => arm.name === name));
  const bars = {
    x: 'gain',
    fy: 'name',
    thresholds: 30,
    fill: (d: { name: string }) => styles.find(({ arm }) => arm.name === d.name)!.stroke,
    inset: 0.5,
  };
  return figure(`Gains of single items in ${doc.primary}, by arm`, (width) => ({
    height: styles.length * 62 + 56,
    marginLeft: width === 'wide' ? 170 : 22,
    marginRight: 22,
    marginBottom: 46,
    x: { nice: true },
    y: { axis: null },
    fy: { domain: styles.map(({ arm }) => arm.name), axis: null, padding: 0.12 },
    marks: [
      Plot.gridX({ stroke: 'var(--line)', strokeOpacity: 1 }),
      differenceAxis(`an item’s gain in ${doc.primary} over round 0`, doc.primary, width === 'wide' ? 7 : 4),
      Plot.rectY(shown, Plot.binX({ y: 'count' }, bars)),
      Plot.ruleX([0], { stroke: 'var(--muted)', strokeDasharray: '3 3' }),
      Plot.text(styles, {
        fy: ({ arm }: ArmStyle) => arm.name,
        text: ({ arm }: ArmStyle) => (arm.oracle ? `${arm.name} (oracle)` : arm.name),
        frameAnchor: width === 'wide' ? 'left' : 'top-left',
        textAnchor: 'start',
        dx: width === 'wide' ? -164 : -16,
        fill: 'var(--ink)',
        lineWidth: 12,
        textOverflow: 'ellipsis',
      }),
    ],
  })); // prettier-ignore
}

/** Gain against what an item cost to compute, critic and scores included; `null` where nothing was computed or no time is known. */
export function computeChart(doc: ResultsDocument, timings: Timings | null): Markup | null {
  const styles = armStyles(doc);
  const points = styles.flatMap(({ arm, stroke }) => {
    const { gainMean, ci95 } = arm.scores[doc.primary]!.fixed;
    const seconds = timings?.arms[arm.name]?.seconds ?? 0;
    if (gainMean === null || seconds === 0) return [];
    return [{ name: arm.name, stroke, seconds: seconds / arm.n, gainMean, lo: ci95?.[0] ?? gainMean, hi: ci95?.[1] ?? gainMean }];
  });
  if (points.length < 2) return null;
  return figure(
    `Gain in ${doc.primary} against seconds of compute an item`,
    (width) => ({
      height: 300,
      marginLeft: 56,
      marginRight: 24,
      marginBottom: 44,
      x: { domain: [0, Math.max(...points.map(({ seconds }) => seconds)) * 1.1] },
      y: { nice: true },
      marks: [
        Plot.gridY({ stroke: 'var(--line)', strokeOpacity: 1 }),
        Plot.axisX({ ...AXIS_INK, tickSize: 0, ticks: width === 'wide' ? 8 : 4, label: 'seconds of compute an item', labelAnchor: 'center', labelArrow: 'none' }),
        gainAxis(doc),
        Plot.ruleY([0], { stroke: 'var(--muted)', strokeDasharray: '3 3' }),
        Plot.ruleX(points, { x: 'seconds', y1: 'lo', y2: 'hi', stroke: 'stroke', strokeWidth: 2 }),
        Plot.dot(points, { x: 'seconds', y: 'gainMean', r: 5, fill: (p: { name: string; stroke: string }) => (isDashed(p.name, styles) ? 'var(--card)' : p.stroke), stroke: 'stroke', strokeWidth: 2 }),
      ],
    }),
    legend(styles.filter(({ arm }) => points.some(({ name }) => name === arm.name))),
  ); // prettier-ignore
}

/** Where an arm is a dashed line elsewhere its dot is hollow. */
const isDashed = (name: string, styles: readonly ArmStyle[]): boolean =>
  styles.some(({ arm, dash }) => arm.name === name && dash !== undefined);
