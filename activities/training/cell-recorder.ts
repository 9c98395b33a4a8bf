import { copyFileSync, linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RefineError } from '../../core/errors.js';
import type { CellProgress } from '../../core/training.js';
import { putFolder, type CellCheckpoints, type CurvePoint, type TrainingFiles } from '../../engine/storage/index.js';
import type { TrainerEvent } from '../../engine/training/index.js';

/** How often it is written down where a cell is, at most. */
const PROGRESS_MS = 2_000;

/** A checkpoint under the name that the program gave it, in a folder that the program does not touch. */
interface Held {
  step: number;
  folder: string;
}

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
  private next: Held | undefined;
  private held = 0;
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
    /** Where checkpoints are held while they are written to the store, on the disk on which the program writes them. */
    private readonly scratch: string,
  ) {
    this.savedStep = kept.step;
    kept.curve.forEach((point) => this.add(point));
    const now = new Date().toISOString();
    this.progress = {
      cell,
      state: 'running',
      attempt,
      step: kept.step,
      totalSteps: 0,
      epoch: 0,
      loss: null,
      validationLoss: null,
      resumedFrom: kept.step,
      startedAt: now,
      updatedAt: now,
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
        this.hold(event.step, event.path);
        this.saving ??= this.save().finally(() => (this.saving = undefined));
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
    await this.save(); // What came while the last one ended.
    await this.telling;
    this.tell();
    await this.telling;
    if (this.failure) throw this.failure;
  }

  private add(point: CurvePoint): void {
    ('validationLoss' in point ? this.evaluations : this.steps).set(point.step, point);
  }

  /**
   * The program keeps few and may delete this one before it is written: its files are linked elsewhere, at once, for it does not wait. Where it is gone
   * already, it has a follower.
   */
  private hold(step: number, path: string): void {
    const folder = join(this.scratch, `held-${(this.held += 1)}`, basename(path));
    try {
      linkFolder(path, folder);
      // Nobody has begun with the one before it.
      if (this.next) rmSync(dirname(this.next.folder), { recursive: true, force: true });
      this.next = { step, folder };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.failure ??= error as Error;
    }
  }

  private async save(): Promise<void> {
    for (let checkpoint = this.take(); checkpoint; checkpoint = this.take()) {
      const { step, folder: path } = checkpoint;
      try {
        const folder = await putFolder(this.checkpoints.blobs, path);
        const since = this.curve().filter((point) => point.step > this.savedStep && point.step <= step);
        await this.checkpoints.write({ key: this.key, step, name: basename(path), folder }, since);
        [this.savedStep, this.gotOn] = [step, true];
      } catch (error) {
        if (!(RefineError.is(error) && error.code === 'StorageUnavailable')) this.failure ??= error as Error;
      } finally {
        await rm(dirname(path), { recursive: true, force: true });
      }
    }
  }

  private take(): Held | undefined {
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

/** Hard links, and copies where the disk has none. */
function linkFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkFolder(source, target);
    else {
      try {
        linkSync(source, target);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
        copyFileSync(source, target);
      }
    }
  }
}
