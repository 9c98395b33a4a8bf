import type { InferenceHost } from '../engine/inference/index.js';
import { openStore, type RunFiles, type Store, type TrainingFiles } from '../engine/storage/index.js';
import { trainerProgram, trainerPython, type TrainerProgram } from '../engine/training/index.js';
import { StorageUnavailable } from '../core/errors.js';
import { memoized } from '../core/memoized.js';
import { DEVICE_ROLES, type DeviceRole } from '../core/queues.js';
import { itemPlan, type ItemPlan } from '../core/item-plan.js';
import type { RunManifest } from '../core/recipe.js';
import type { TrainingManifest, TrainingRef } from '../core/training.js';
import type { RunRef } from '../core/types.js';
import { CountedLedger, type StepLedger, type StepMetrics } from './metrics.js';
import { Permits } from './permits.js';

/** A run as an activity sees it: its manifest, its files, and the store they are in. */
export interface RunContext {
  manifest: RunManifest;
  plan: ItemPlan;
  store: Store;
  files: RunFiles;
  ledger: StepLedger;
}

/** A training as an activity sees it. */
export interface TrainingContext {
  manifest: TrainingManifest;
  store: Store;
  files: TrainingFiles;
}

export interface ServicesOptions {
  /** Name of this worker process in the ledger; unique among the workers of a run. */
  worker: string;
  /** The device's inference host; `null` on workers that run no models. */
  host: InferenceHost | null;
  /** Name of the worker whose own queue leads to that device; `null` where there is none. */
  name?: string | null;
  /** What the device is for. Default: all. */
  roles?: readonly DeviceRole[];
  /** Steps that it has at once, whatever queues they come from. Default: no limit. */
  slots?: number;
  /** Where steps are counted; made when the first is. Default: nowhere. */
  metrics?: () => StepMetrics;
  /** Where this machine sees the store, when that is elsewhere than where the run was started. */
  store?: string;
  /** Maps a model's path as the run names it to where this machine has it. */
  modelPath?: (path: string) => string;
  /** Folder of the training program. Default: the one that comes along. */
  trainer?: string;
  /** Python interpreter for it. Default: that of the pinned environment, which is made where it is missing. */
  python?: string;
}

/** What activities stand on in one worker process. Opens each store and each run once. */
export class ActivityServices {
  readonly host: InferenceHost | null;
  readonly name: string | null;
  readonly permits: Permits;
  private readonly openStore = memoized(openStore);
  /** Throws StorageUnavailable where the run's manifest is not in the store that this worker sees. */
  readonly openRun = memoized(
    (run: RunRef) => this.readRun(run),
    ({ store, runId }) => `${store}\n${runId}`,
  );

  constructor(private readonly options: ServicesOptions) {
    this.host = options.host;
    this.name = options.name ?? null;
    this.permits = new Permits(options.slots ?? Infinity);
  }

  /** Whether the device is for model steps of a role and an execution provider; `true` where there is none, and what wants one says so. */
  isFor(role: DeviceRole, provider: string): boolean {
    return this.host === null || ((this.options.roles ?? DEVICE_ROLES).includes(role) && this.host.provider === provider);
  }

  /** Name of what a step ran on, for the ledger. */
  get device(): string {
    return this.host?.device ?? 'cpu';
  }

  modelFolder(manifest: RunManifest, model: string): string {
    return this.here(manifest.models[model]!.path);
  }

  /** Where this machine has a model that a run or a training names. */
  here(path: string): string {
    return this.options.modelPath?.(path) ?? path;
  }

  /** Throws InvalidInput where it is not whole. */
  trainer(): Promise<TrainerProgram> {
    return trainerProgram(this.options.trainer);
  }

  /** @param say told what it does where the environment has to be made */
  python(say: (line: string) => void): Promise<string> {
    return trainerPython(this.options.python, say);
  }

  /** Read each time: an id may be another training's once the first is deleted. Throws StorageUnavailable where its manifest is not in the store that this worker sees. */
  async openTraining({ trainingId, store: uri }: TrainingRef): Promise<TrainingContext> {
    const store = await this.openStore(this.options.store ?? uri);
    const files = store.training(trainingId);
    const manifest = await files.readManifest();
    if (!manifest)
      throw new StorageUnavailable(`training ${trainingId} has no manifest in ${store.uri}; does this worker see the same store?`);
    return { manifest, store, files };
  }

  private async readRun(run: RunRef): Promise<RunContext> {
    const store = await this.openStore(this.options.store ?? run.store);
    const files = store.run(run.runId);
    const manifest = await files.readManifest();
    if (!manifest) throw new StorageUnavailable(`run ${run.runId} has no manifest in ${store.uri}; does this worker see the same store?`);
    const { worker, metrics } = this.options;
    const plan = itemPlan(manifest.recipe);
    const ledger = store.ledgerWriter(run.runId, worker);
    return { manifest, plan, store, files, ledger: metrics ? new CountedLedger(ledger, plan, metrics) : ledger };
  }
}
