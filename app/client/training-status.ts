import type { Client } from '@temporalio/client';
import { InvalidInput } from '../../core/errors.js';
import { gridCells, isTrained, trainingWorkflowId, type CellProgress, type TrainingState } from '../../core/training.js';
import type { Digest } from '../../core/types.js';
import { openStore, type TrainingFiles } from '../../engine/storage/index.js';
import { isWorkflowOpen } from './start-run.js';
import type { TrainingName } from './train.js';

export interface CellStatus {
  cell: number;
  /** What sets it apart from the other settings. */
  label: string;
  state: 'waiting' | 'running' | 'trained' | 'failed';
  step: number;
  /** 0: not known yet. */
  totalSteps: number;
  epoch: number;
  loss: number | null;
  /** The last one; of a cell that is trained, the lowest. */
  validationLoss: number | null;
}

/** `status --json` of a training. */
export interface TrainingStatus {
  trainingId: string;
  state: TrainingState;
  cells: CellStatus[];
  /** Number of the cell whose model is in the pack. */
  chosen: number | null;
  /** What measure.py wrote. */
  measured: unknown;
  pack: Digest | null;
  failure: { type: string; message: string } | null;
  startedAt: string;
  elapsedSeconds: number;
  /** `null`: over, or not known yet. At most: early stopping may end it sooner. */
  etaSeconds: number | null;
  /** Where it was read: the server that answered, or the store alone. */
  source: 'server' | 'store';
}

export const isTrainingOver = (state: TrainingState): boolean => !['starting', 'running'].includes(state);

/**
 * Where a training stands.
 * @param client `null`: no server answers, and the store alone is read
 * @throws InvalidInput for an unknown training
 */
export async function getTrainingStatus(client: Client | null, { storeUri, trainingId }: TrainingName): Promise<TrainingStatus> {
  const store = await openStore(storeUri);
  const files = store.training(trainingId);
  const manifest = await files.readManifest();
  if (!manifest) {
    const known = (await store.listTrainings()).join(', ') || 'none';
    throw new InvalidInput(`no training ${trainingId} in ${storeUri}; known trainings: ${known}`);
  }
  const kept = await files.readState();
  const state = await liveState(client, files, kept?.state ?? 'starting');
  const result = state === 'completed' ? await files.readResult() : undefined;
  const settings = gridCells(manifest.recipe);
  const progress = await Promise.all(settings.map(({ cell }) => files.readProgress(cell)));
  const cells = settings.map(({ cell, label }, i): CellStatus => {
    const outcome = result?.cells.find((one) => one.cell === cell);
    const now = progress[i];
    const known = { cell, label, step: now?.step ?? 0, totalSteps: now?.totalSteps ?? 0, epoch: now?.epoch ?? 0, loss: now?.loss ?? null };
    if (!outcome) return { ...known, state: stateOf(now, state), validationLoss: now?.validationLoss ?? null };
    if (!isTrained(outcome)) return { ...known, state: 'failed', validationLoss: null };
    return { ...known, state: 'trained', step: outcome.steps, loss: outcome.trainLoss, validationLoss: outcome.validationLoss };
  });
  const startedAt = kept?.startedAt ?? manifest.createdAt;
  const end = isTrainingOver(state) && kept?.finishedAt ? Date.parse(kept.finishedAt) : Date.now();
  return {
    ...{ trainingId, state, cells, chosen: result?.chosen ?? null },
    measured: result ? JSON.parse(Buffer.from(await store.getArtifact(result.measured)).toString('utf8')) : null,
    pack: result?.pack.digest ?? null,
    failure: kept?.failure ?? null,
    ...{ startedAt, elapsedSeconds: Math.max(0, (end - Date.parse(startedAt)) / 1000) },
    etaSeconds: isTrainingOver(state) ? null : secondsLeft(progress),
    source: client ? 'server' : 'store',
  };
}

/** What has not ended runs no longer where the training does not. */
function stateOf(cell: CellProgress | undefined, training: TrainingState): CellStatus['state'] {
  if (!cell) return 'waiting';
  if (cell.state !== 'running' || !isTrainingOver(training)) return cell.state;
  return training === 'failed' ? 'failed' : 'waiting';
}

/** A workflow that was ended from outside could not write it down. */
async function liveState(client: Client | null, files: TrainingFiles, told: TrainingState): Promise<TrainingState> {
  if (!client || isTrainingOver(told) || (await isWorkflowOpen(client, trainingWorkflowId(files.trainingId)))) return told;
  const now = (await files.readState())?.state ?? 'starting'; // It may have ended since.
  return isTrainingOver(now) || now === 'starting' ? now : 'failed';
}

/** As one after the other, at the pace of this attempt, all steps made. */
function secondsLeft(progress: ReadonlyArray<CellProgress | undefined>): number | null {
  const paced = progress.find((cell) => cell && cell.step > cell.resumedFrom);
  if (!paced) return null;
  const pace = (Date.parse(paced.updatedAt) - Date.parse(paced.startedAt)) / 1000 / (paced.step - paced.resumedFrom);
  const left = (cell: CellProgress) => (cell.state === 'running' ? Math.max(0, cell.totalSteps - cell.step) : 0);
  const steps = progress.reduce((sum, cell) => sum + (cell ? left(cell) : paced.totalSteps), 0);
  return steps === 0 ? null : pace * steps; // What comes after the last step takes its time as well.
}
