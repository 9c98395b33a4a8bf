import type { ArtifactRef, Digest, StepRecord } from '../../core/types.js';
import { ArtifactStore } from './artifact-store.js';
import { Checkpoints } from './checkpoints.js';
import { LedgerFollower, LedgerWriter, readLedger, type LedgerRow, type ReadLedgerOptions } from './ledger.js';
import type { ObjectStore } from './object-store.js';
import { listRuns, RunFiles } from './run-files.js';
import { listTrainings, TrainingFiles } from './training-files.js';
import { StepRecords } from './step-records.js';

/** All that a store holds, over any {@link ObjectStore}: artifacts, step records, and the files of its runs. */
export class Store {
  readonly artifacts: ArtifactStore;
  readonly steps: StepRecords;
  readonly checkpoints: Checkpoints;
  private readonly runs = new Map<string, RunFiles>();

  constructor(readonly objects: ObjectStore) {
    this.artifacts = new ArtifactStore(objects);
    this.steps = new StepRecords(objects, this.artifacts);
    this.checkpoints = new Checkpoints(objects);
  }

  /** Absolute URI: what {@link openStore} takes, here and in any other process. */
  get uri(): string {
    return this.objects.uri;
  }

  /** See {@link ArtifactStore.putArtifact}. */
  putArtifact(bytes: Uint8Array, mediaType: string, derivedFrom: Digest[] = []): Promise<ArtifactRef> {
    return this.artifacts.putArtifact(bytes, mediaType, derivedFrom);
  }

  /** See {@link ArtifactStore.getArtifact}. */
  getArtifact(artifact: Digest | ArtifactRef): Promise<Uint8Array> {
    return this.artifacts.getArtifact(artifact);
  }

  hasArtifact(artifact: Digest | ArtifactRef): Promise<boolean> {
    return this.artifacts.hasArtifact(artifact);
  }

  /** See {@link StepRecords.findStep}. */
  findStep(key: string): Promise<StepRecord | undefined> {
    return this.steps.findStep(key);
  }

  /** See {@link StepRecords.recordStep}. */
  recordStep(record: StepRecord): Promise<StepRecord> {
    return this.steps.recordStep(record);
  }

  /** The files of a run, which need not exist yet. Throws InvalidInput on what cannot be a run id. */
  run(runId: string): RunFiles {
    let files = this.runs.get(runId);
    if (!files) this.runs.set(runId, (files = new RunFiles(this.objects, runId)));
    return files;
  }

  /** Ids of the runs that have a manifest, sorted. */
  listRuns(): Promise<string[]> {
    return listRuns(this.objects);
  }

  /** The files of a training, which need not exist yet. Throws InvalidInput on what cannot be its id. */
  training(trainingId: string): TrainingFiles {
    return new TrainingFiles(this.objects, trainingId);
  }

  /** Ids of the trainings that have a manifest, sorted. */
  listTrainings(): Promise<string[]> {
    return listTrainings(this.objects);
  }

  /** One per run and worker process. */
  ledgerWriter(runId: string, worker: string): LedgerWriter {
    return new LedgerWriter(this.objects, runId, worker);
  }

  followLedger(runId: string): LedgerFollower {
    return new LedgerFollower(this.objects, runId);
  }

  readLedger(runId: string, options: ReadLedgerOptions = {}): Promise<LedgerRow[]> {
    return readLedger(this.objects, runId, options);
  }
}
