import { createLogUpdate } from 'log-update';
import pc from './colours.js';
import type { GainSoFar, RunStatus, StatusReader } from '../client/status.js';
import { note, seconds, signed } from './output.js';

/** Shows what goes on: a few lines that are redrawn on a terminal, a line now and then elsewhere. */
export interface LiveDisplay {
  /** How often it is worth looking: each look reads the store and asks the server. */
  everyMs: number;
  /**
   * @param lines what is known now; @param more what only a terminal has room for
   * @param advice what a person should do for it to go on, if anything
   */
  show(lines: string[], more: string[], advice?: string | null): void;
  /** It could not be looked at just now. */
  trouble(message: string): void;
  /** A line that stays. */
  say(line: string): void;
  end(): void;
}

const PLAIN_EVERY_MS = 5_000;

export function liveDisplay(): LiveDisplay {
  const filled = (lines: string[]) => lines.filter((line) => line !== '');
  if (!process.stderr.isTTY) {
    const show: LiveDisplay['show'] = (lines, _more, advice) => note(filled([...lines, advice ?? '']).join('  '));
    return { everyMs: PLAIN_EVERY_MS, show, trouble: note, say: note, end: () => undefined };
  }
  const draw = createLogUpdate(process.stderr);
  return {
    everyMs: 1_000,
    show: (lines, more, advice) => draw(filled([...lines, ...more, advice ? pc.yellow(advice) : '']).join('\n')),
    trouble: (message) => draw(pc.yellow(message)),
    say(line) {
      draw.clear();
      note(line);
    },
    end: () => draw.done(),
  };
}

/** Shows a run as it goes. */
export interface ProgressDisplay extends Omit<LiveDisplay, 'show'> {
  /** @param advice what a person should do for the run to go on, if anything */
  update(status: RunStatus, advice?: string | null): void;
}

export function progressDisplay(reader: StatusReader, links: { ui: string | null }): ProgressDisplay {
  const rate = stepRate();
  const { show, ...display } = liveDisplay();
  return {
    ...display,
    update: (status, advice) =>
      show(statusLines(status, rate(status)), [gainLine(reader.gains(), reader.primary), uiLine(links.ui)], advice),
  };
}

export const uiLine = (ui: string | null): string => (ui === null ? '' : pc.dim(`Temporal UI ${ui}`));

const BAR_WIDTH = 24;

/** @param share from 0 to 1 */
export function bar(share: number): string {
  const filled = Math.round(share * BAR_WIDTH);
  return pc.cyan('█'.repeat(filled)) + pc.dim('░'.repeat(BAR_WIDTH - filled));
}

export function statusLines({ runId, state, items, steps, elapsedSeconds, etaSeconds }: RunStatus, stepsPerSecond: number): string[] {
  const over = items.total - items.pending - items.running;
  const trouble = [
    items.failed > 0 ? pc.red(`${items.failed} failed`) : '',
    items.skipped > 0 ? pc.yellow(`${items.skipped} skipped`) : '',
  ];
  return [
    [
      pc.bold(runId),
      state,
      bar(items.total === 0 ? 0 : over / items.total),
      `${over}/${items.total} items`,
      `${items.running} running`,
      ...trouble,
    ]
      .filter((part) => part !== '')
      .join('  '),
    [
      `${steps.executed} steps (${stepsPerSecond.toFixed(1)}/s), ${steps.cached} recorded${steps.retried > 0 ? `, ${steps.retried} retried` : ''}`,
      `elapsed ${seconds(elapsedSeconds)}`,
      etaSeconds === null ? '' : `about ${seconds(etaSeconds)} left`,
    ]
      .filter((part) => part !== '')
      .join('  '),
  ];
}

function gainLine(gains: GainSoFar[], primary: string): string {
  if (gains.length === 0) return pc.dim(`gains by ${primary} come with the first items`);
  const arms = gains.map(({ arm, n, mean }) => `${arm} ${mean > 0 ? pc.green(signed(mean)) : signed(mean)} (n=${n})`);
  return `gain so far by ${primary}: ${arms.join('  ')}`;
}

/** Steps a second over the last few looks, recorded ones included. */
function stepRate(): (status: RunStatus) => number {
  const seen: Array<{ at: number; steps: number }> = [];
  return ({ steps }) => {
    seen.push({ at: Date.now(), steps: steps.executed + steps.cached });
    if (seen.length > 10) seen.shift();
    const [first, last] = [seen[0]!, seen.at(-1)!];
    const elapsed = (last.at - first.at) / 1000;
    return elapsed < 0.2 ? 0 : (last.steps - first.steps) / elapsed;
  };
}
