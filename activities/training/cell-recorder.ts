import { basename } from 'node:path';
import { RefineError } from '../../core/errors.js';
import type { CellProgress } from '../../core/training.js';
import { putFolder, type CellCheckpoints, type CurvePoint, type TrainingFiles } from '../../engine/storage/index.js';
import type { TrainerEvent } from '../../engine/training/index.js';

/** How often it is written down where a cell is, at most. */
const PROGRESS_MS = 2_000;

type Checkpoint = Extract<TrainerEvent, { event: 'checkpoint' }>;

/**
 * Writes down what the program says: the newest checkpoint with the curve up to it, and where the cell is. A store that is away costs a checkpoint and
 * not the training; the next one holds what came since the last that was written.
 */
export class CellRecorder {
  /** A checkpoint of this attempt is in the store. */
  gotOn = false;
  readonly progress: CellProgress;
  private readonly steps = new Map<number, CurvePoint>();
  private readonly evaluations = new Map<number, CurvePoint>();
  private savedStep: number;
  private next: Checkpoint | undefined;
  private saving: Promise<void> | undefined;
  private failure: Error | undefined;
  private telling: Promise<void> | undefined;
  private toldAt = 0;

  /** @param kept of the checkpoint that is gone on from */
  constructor(
    private readonly files: TrainingFiles,
    private readonly checkpoints: CellCheckpoints,
    private readonly key: string,
    cell: number,
    attempt: number,
    kept: { step: number; curve: CurvePoint[] },
  ) {
    this.savedStep = kept.step;
    kept.curve.forEach((point) => this.add(point));
    const now = new Date().toISOString();
    this.progress = {
      ...{ cell, attempt, step: kept.step, totalSteps: 0, epoch: 0, resumedFrom: kept.step, startedAt: now, updatedAt: now },
      ...{ loss: null, validationLoss: null },
    };
  }

  onEvent(event: TrainerEvent): void {
    const { progress } = this;
    switch (event.event) {
      case 'start': {
        // Where it could not go on from the checkpoint, what comes is what came before, once more.
        for (const points of [this.steps, this.evaluations])
          for (const step of points.keys()) if (step > event.resumedFrom) points.delete(step);
        this.savedStep = Math.min(this.savedStep, event.resumedFrom);
        const { totalSteps, resumedFrom } = event;
        Object.assign(progress, { totalSteps, resumedFrom, step: resumedFrom, startedAt: new Date().toISOString() });
        break;
      }
      case 'step': {
        const { step, epoch, loss, learningRate } = event;
        this.add({ step, epoch, loss, learningRate });
        Object.assign(progress, { step, epoch, loss });
        break;
      }
      case 'eval':
        this.add({ step: event.step, validationLoss: event.loss });
        progress.validationLoss = event.loss;
        break;
      case 'checkpoint':
        this.next = event;
        this.saving ??= this.save()
          .catch((error: unknown) => void (this.failure ??= error as Error))
          .finally(() => (this.saving = undefined));
        break;
      case 'done':
        progress.totalSteps = progress.step; // Where it ended early.
        break;
    }
    if (Date.now() - this.toldAt > PROGRESS_MS) this.tell();
  }

  /** All points, each once, evaluations after the step that they follow. */
  curve(): CurvePoint[] {
    const points = [...this.steps.values(), ...this.evaluations.values()];
    return points.sort((a, b) => a.step - b.step || Number('validationLoss' in a) - Number('validationLoss' in b));
  }

  /** Waits for what is being written, and writes the last word. Throws what went wrong on the way, the store's absence aside. */
  async settled(): Promise<void> {
    await this.saving;
    await this.telling;
    this.tell();
    await this.telling;
    if (this.failure) throw this.failure;
  }

  private add(point: CurvePoint): void {
    ('validationLoss' in point ? this.evaluations : this.steps).set(point.step, point);
  }

  private async save(): Promise<void> {
    for (let checkpoint = this.take(); checkpoint; checkpoint = this.take()) {
      const { step, path } = checkpoint;
      try {
        const folder = await putFolder(this.checkpoints.blobs, path);
        const since = this.curve().filter((point) => point.step > this.savedStep && point.step <= step);
        await this.checkpoints.write({ key: this.key, step, name: basename(path), folder }, since);
        [this.savedStep, this.gotOn] = [step, true];
      } catch (error) {
        // The program keeps few: one that is gone has a follower.
        const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (!isGone && !(RefineError.is(error) && error.code === 'StorageUnavailable')) throw error;
      }
    }
  }

  private take(): Checkpoint | undefined {
    const { next } = this;
    this.next = undefined;
    return next;
  }

  private tell(): void {
    this.toldAt = Date.now();
    this.progress.updatedAt = new Date(this.toldAt).toISOString();
    this.telling ??= this.files
      .writeProgress({ ...this.progress })
      .catch(() => undefined) // It is said again.
      .finally(() => (this.telling = undefined));
  }
}
