import { markup, type Markup } from './escape-html.js';
import { formatDelta, formatInterval } from './format.js';
import type { PairedResult, ResultsDocument } from './results-document.js';

interface Mark extends PairedResult {
  label: string;
  mean: number;
}

/** Which way an interval points: the colour of everything that is compared. */
export function direction(interval: [number, number] | null): 'gain' | 'loss' | 'none' {
  if (interval && interval[0] > 0) return 'gain';
  return interval && interval[1] < 0 ? 'loss' : 'none';
}

/** `fixed` gains on the primary metric as a forest plot: per arm its mean differences and their 95% intervals on one axis. */
export function forestPlot(doc: ResultsDocument): Markup | null {
  const arms = doc.arms.map((arm) => ({ arm, marks: marksOf(arm.scores[doc.primary]!.fixed) })).filter(({ marks }) => marks.length > 0);
  if (arms.length === 0) return null;
  const axis = niceAxis(arms.flatMap(({ marks }) => marks.flatMap((m) => [m.mean, ...(m.ci95 ?? [])])));
  return markup`<figure class="forest" aria-label="Gains in ${doc.primary} with 95% intervals">
    ${arms.map(
      ({ arm, marks }) =>
        markup`<div class="forest-arm">
          <h3>${arm.name} ${arm.oracle && markup`<span class="tag oracle">oracle</span>`}</h3>
          ${marks.map((m) => row(m, axis, doc.primary))}
        </div>`,
    )}
    <div class="axis" aria-hidden="true">
      <svg>${axis.ticks.map((t) => markup`<text x="${axis.at(t)}" y="16">${formatDelta(t, doc.primary)}</text>`)}</svg
      ><span class="axis-title">difference in ${doc.primary}; to the right of 0 is better</span>
    </div>
  </figure>`;
}

function marksOf(result: ResultsDocument['arms'][number]['scores'][string]['fixed']): Mark[] {
  const own = result.gainMean === null ? [] : [{ ...result, label: 'over round 0', mean: result.gainMean }];
  const against = [
    { label: 'over control', comparison: result.vsControl },
    { label: 'over its placebo', comparison: result.vsPlacebo },
  ].flatMap(({ label, comparison }) => (comparison && comparison.mean !== null ? [{ ...comparison, label, mean: comparison.mean }] : []));
  return [...own, ...against];
}

interface Axis {
  ticks: number[];
  /** Place on the axis in per cent of its width. */
  at(value: number): string;
}

function row(mark: Mark, axis: Axis, metric: string): Markup {
  const tone = direction(mark.ci95);
  const [lo, hi] = mark.ci95 ?? [mark.mean, mark.mean];
  return markup`<span class="what">${mark.label}</span>
    <span class="track"
      ><svg aria-hidden="true">
        ${axis.ticks.map((t) => markup`<line class="${t === 0 ? 'zero' : 'grid-line'}" x1="${axis.at(t)}" x2="${axis.at(t)}" y1="0" y2="24" />`)}
        <line class="whisker ${tone}" x1="${axis.at(lo)}" x2="${axis.at(hi)}" y1="12" y2="12" />
        <circle class="dot ${tone}" cx="${axis.at(mark.mean)}" cy="12" r="5" /></svg
    ></span>
    <span class="value"><strong class="${tone}">${formatDelta(mark.mean, metric)}</strong> ${formatInterval(mark.ci95, metric)}</span>`;
}

/** Round ticks (1, 2 or 5 times a power of ten) around all values and 0, four to seven of them. */
export function niceAxis(values: readonly number[]): Axis {
  const lo = Math.min(0, ...values);
  const hi = Math.max(0, ...values);
  const rough = (hi - lo || 0.1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough)!;
  const first = Math.floor(lo / step);
  const last = Math.max(first + 1, Math.ceil(hi / step));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const margin = step / 4;
  const from = first * step - margin;
  const width = last * step + margin - from;
  return { ticks, at: (value) => `${((100 * (value - from)) / width).toFixed(2)}%` };
}
