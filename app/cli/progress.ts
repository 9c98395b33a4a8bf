import { createLogUpdate } from 'log-update';
import pc from './colours.js';
import type { GainSoFar, RunStatus, StatusReader } from '../client/status.js';
import { note, seconds, signed } from './output.js';

/** Shows a run as it goes: a few lines that are redrawn on a terminal, a line now and then elsewhere. */
export interface ProgressDisplay {
  /** How often it is worth looking: each look reads the store and asks the server. */
  everyMs: number;
  /** @param advice what a person should do for the run to go on, if anything */
  update(status: RunStatus, advice?: string | null): void;
  /** The run could not be looked at just now. */
  trouble(message: string): void;
  /** A line that stays. */
  say(line: string): void;
  end(): void;
}

export function progressDisplay(reader: StatusReader, links: { ui: string | null }): ProgressDisplay {
  const rate = stepRate();
  if (!process.stderr.isTTY) return plainLines(rate);
  const draw = createLogUpdate(process.stderr);
  return {
    everyMs: 1_000,
    update(status, advice) {
      const lines = [
        ...statusLines(status, rate(status)),
        gainLine(reader.gains(), reader.primary),
        links.ui ? pc.dim(`Temporal UI ${links.ui}`) : '',
      ];
      draw([...lines, advice ? pc.yellow(advice) : ''].filter((line) => line !== '').join('\n'));
    },
    trouble: (message) => draw(pc.yellow(message)),
    say(line) {
      draw.clear();
      note(line);
    },
    end: () => draw.done(),
  };
}

const PLAIN_EVERY_MS = 5_000;

function plainLines(rate: (status: RunStatus) => number): ProgressDisplay {
  return {
    everyMs: PLAIN_EVERY_MS,
    update(status, advice) {
      note([...statusLines(status, rate(status)), advice ?? ''].filter((line) => line !== '').join('  '));
    },
    trouble: note,
    say: note,
    end: () => undefined,
  };
}

const BAR_WIDTH = 24;

export function statusLines({ runId, state, items, steps, elapsedSeconds, etaSeconds }: RunStatus, stepsPerSecond: number): string[] {
  const over = items.total - items.pending - items.running;
  const filled = items.total === 0 ? 0 : Math.round((over / items.total) * BAR_WIDTH);
  const bar = pc.cyan('█'.repeat(filled)) + pc.dim('░'.repeat(BAR_WIDTH - filled));
  const trouble = [
    items.failed > 0 ? pc.red(`${items.failed} failed`) : '',
    items.skipped > 0 ? pc.yellow(`${items.skipped} skipped`) : '',
  ];
  return [
    [pc.bold(runId), state, bar, `${over}/${items.total} items`, `${items.running} running`, ...trouble]
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
