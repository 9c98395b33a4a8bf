import { METRICS } from '../../core/item-plan.js';

/** Digits after the point that a metric is read to: three for scores up to 1, two for decibels. */
function digits(metric: string): number {
  return (METRICS[metric]?.range[1] ?? 1) > 10 ? 2 : 3;
}

/** What must be known to read a metric's numbers; empty for most. */
export function directionNote(metric: string): string {
  return METRICS[metric]?.better === 'lower' ? ', lower is better: a gain is how much it fell' : '';
}

export const NONE = '–';

export function formatScore(value: number | null | undefined, metric: string): string {
  return value === null || value === undefined ? NONE : minus(value.toFixed(digits(metric)));
}

/** Signed, with a true minus sign; what rounds to zero has no sign. */
export function formatDelta(value: number | null | undefined, metric: string): string {
  if (value === null || value === undefined) return NONE;
  const text = value.toFixed(digits(metric));
  if (Number(text) === 0) return Math.abs(Number(text)).toFixed(digits(metric));
  return value > 0 ? `+${text}` : minus(text);
}

/** Does not break across lines. */
export function formatInterval(interval: [number, number] | null | undefined, metric: string): string {
  return interval ? `[${formatDelta(interval[0], metric)},\u00a0${formatDelta(interval[1], metric)}]` : '[no\u00a0interval]';
}

export function formatP(p: number | null): string {
  if (p === null) return NONE;
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

export function formatSeconds(seconds: number): string {
  return seconds < 90
    ? `${seconds.toFixed(1)} s`
    : seconds < 5400
      ? `${(seconds / 60).toFixed(1)} min`
      : `${(seconds / 3600).toFixed(1)} h`;
}

function minus(text: string): string {
  return text.replace('-', '−');
}

/** Which way an interval points: the colour of everything that is compared. */
export function direction(interval: [number, number] | null): 'gain' | 'loss' | 'none' {
  if (interval && interval[0] > 0) return 'gain';
  return interval && interval[1] < 0 ? 'loss' : 'none';
}

/** A text for a table's cell or a list's line; whoever wants the whole of it finds it with its item. */
export function shortened(text: string, limit = 160): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= limit ? line : `${line.slice(0, limit - 1).trimEnd()}…`;
}
