import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { StorageUnavailable } from '../../core/errors.js';
import { queuesWithoutWorker, workerAdvice } from '../client/queues.js';
import type { TrainingName } from '../client/train.js';
import { getTrainingStatus, type CellStatus, type TrainingStatus } from '../client/training-status.js';
import pc from './colours.js';
import { seconds } from './output.js';
import { bar, liveDisplay, uiLine } from './progress.js';

/** Settings that a terminal has room for. */
const MOST_CELLS = 8;

export function trainingLines({ trainingId, state, cells, elapsedSeconds, etaSeconds, chosen }: TrainingStatus): string[] {
  const busy = [...cells].sort((a, b) => Number(b.state === 'running') - Number(a.state === 'running') || a.cell - b.cell);
  const left = busy.length - MOST_CELLS;
  return [
    [
      pc.bold(trainingId),
      state,
      `elapsed ${seconds(elapsedSeconds)}`,
      ...(state === 'running' && cells.every((cell) => cell.state === 'trained' || cell.state === 'failed')
        ? ['export and measurement']
        : []),
      ...(etaSeconds === null ? [] : [`at most about ${seconds(etaSeconds)} left`]),
    ].join('  '),
    ...busy.slice(0, MOST_CELLS).map((cell) => cellLine(cell, cells.length > 1, cell.cell === chosen)),
    ...(left > 0 ? [`and ${left} more settings`] : []),
  ];
}

function cellLine(
  { label, state, step, totalSteps, epoch, loss, validationLoss }: CellStatus,
  isOneOfMany: boolean,
  chosen: boolean,
): string {
  const parts = [
    ...(isOneOfMany ? [label] : []),
    ...(chosen && isOneOfMany ? [pc.green('chosen')] : isOneOfMany || state !== 'running' ? [state] : []),
    ...(state === 'running' && totalSteps > 0 ? [bar(step / totalSteps), `step ${step}/${totalSteps}`, `epoch ${epoch.toFixed(1)}`] : []),
    ...(state === 'trained' ? [`${step} steps`] : []),
    ...(loss === null ? [] : [`loss ${loss.toFixed(3)}`]),
    ...(validationLoss === null ? [] : [`validation ${validationLoss.toFixed(3)}`]),
  ];
  return parts.join('  ');
}

/**
 * Shows a training until one of `ends` settles, and gives what it settled with.
 * @param client `null`: the store alone is read
 */
export async function showTraining<T>(
  client: Client | null,
  name: TrainingName,
  { ui, embedded }: { ui: string | null; embedded: boolean },
  ends: Array<Promise<T>>,
): Promise<T> {
  const display = liveDisplay();
  const over = Promise.race(ends).then((value) => ({ value }));
  over.catch(() => undefined); // Thrown again below.
  const look = async (): Promise<null> => {
    try {
      const status = await getTrainingStatus(client, name);
      const waits = client && !embedded && status.cells.every((cell) => cell.step === 0);
      display.show(trainingLines(status), [uiLine(ui)], waits ? workerAdvice(await queuesWithoutWorker(client, 'training')) : null);
    } catch (error) {
      // The training waits for its store to come back, and so does who watches it.
      if (!(error instanceof StorageUnavailable)) throw error;
      display.trouble(error.message);
    }
    await sleep(display.everyMs, undefined, { ref: false });
    return null;
  };
  try {
    for (;;) {
      const ended = await Promise.race([over, look()]);
      if (ended) return ended.value;
    }
  } finally {
    display.end();
  }
}
