import { existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SimplePlugin } from '@temporalio/plugin';
import { Runtime, Worker, type BundleOptions, type ReplayWorkerOptions, type WorkerOptions } from '@temporalio/worker';
import { ActivityServices, createActivities, stepMetrics, type StepMetrics } from '../activities/index.js';
import { sha256Hex } from '../core/content-hash.js';
import { InvalidInput } from '../core/errors.js';
import { DEVICE_ROLES, TASK_QUEUES, gpuQueue, isWorkerName, roleQueue, type DeviceRole, type WorkerRole } from '../core/queues.js';
import { InferenceHost } from '../engine/inference/index.js';
import { observeActivities } from './observe-activities.js';
import { ensureSearchAttributes } from './search-attributes.js';

export interface RefineLoopPluginOptions {
  /** What the worker is for. A worker on a queue of your own that runs the workflows is an `orchestrator`. */
  role: WorkerRole;
  /** Device number, for `gpu`: one inference host a worker, one worker a device. Default 0. */
  device?: number;
  /** ONNX Runtime's execution provider, for `gpu`. Default `cpu`. */
  provider?: string;
  /** Threads of the host, for `gpu` on the CPU. Default: one a core. Results do not depend on it. */
  threads?: number;
  /**
   * Name by which recipes and half-made pictures find a `gpu` worker: it also polls the queue `gpu-<name>`. Keep it over restarts. Two with one name share
   * that queue. Default: `<hostname>-<provider>-<device>`.
   */
  name?: string;
  /** What a `gpu` worker is for; what it is not for it gives back at once. Default: all. */
  roles?: readonly DeviceRole[];
  /** Most compatible requests that a `gpu` worker's device runs as one; it takes on twice as many steps. Default 1. */
  batch?: number;
  /** MiB of weights that a `gpu` worker's device keeps; above it the least recently used models are let go. Default: no bound. */
  modelMemoryMb?: number;
  /** MiB of memory above which a `gpu` worker's host is killed: what ran fails as OutOfMemory, and the worker lives. Default: no limit. Linux only. */
  memoryLimitMb?: number;
  /**
   * Seconds without a sign of life after which a `gpu` worker's host is killed while it runs something. Default 120. More than the longest call: loading a
   * model, building its engine (TensorRT), one denoising step.
   */
  hangTimeoutSeconds?: number;
  /** Where this machine sees the store, when that is elsewhere than where runs are started. */
  store?: string;
  /** Maps a model's path as the run names it to where this machine has it. */
  modelPath?: (path: string) => string;
  /** Folder of the training program, for `train`: train.py, export.py and measure.py. Default: the one that comes along. */
  trainer?: string;
  /** Python interpreter for it. Default: that of the pinned environment in the user's cache, which is made where it is missing. */
  python?: string;
}

/** What steps need of a worker, where it does not say otherwise. */
const DEFAULTS = {
  // The SDK's default is none: a worker that is stopped would fail what it has in hand.
  shutdownGraceTime: '10 seconds',
  // By themselves they are sent when 8 of their 10 seconds are over; a cancellation comes back with one.
  maxHeartbeatThrottleInterval: '3 seconds',
  defaultHeartbeatThrottleInterval: '3 seconds',
} satisfies Partial<WorkerOptions>;

/** Only these two are ever chosen between, so that a user's own workflows stay in the bundle. */
const OWN_WORKFLOWS = fileURLToPath(new URL('../workflows/index.js', import.meta.url));
const OWN_BUNDLE = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
/** The same with OpenTelemetry's interceptors, for workers that have its plugin. */
const TRACED_BUNDLE = fileURLToPath(new URL('../workflow-bundle-traced.js', import.meta.url));

/**
 * Adds the refine loop to a Temporal worker: its activities, and for `orchestrator` its workflows beside the worker's own.
 * The project's own workers are made with it. Pass it also to `bundleWorkflowCode` where you bundle yourself.
 * @example
 * const worker = await Worker.create({ connection, taskQueue: 'orchestrator', workflowsPath, plugins: [new RefineLoopPlugin({ role: 'orchestrator' })] });
 */
export class RefineLoopPlugin extends SimplePlugin {
  private readonly host: InferenceHost | null;
  private readonly role: WorkerRole;
  /** Of a `gpu` worker. */
  private readonly gpu: { name: string; roles: readonly DeviceRole[]; slots: number };
  /** Of the worker that is being made. */
  private server: Pick<WorkerOptions, 'connection' | 'namespace'> = {};
  /** Workers on the further queues of the one that is being made. */
  private siblings: WorkerOptions[] = [];

  constructor(options: RefineLoopPluginOptions) {
    const {
      role,
      device = 0,
      provider = 'cpu',
      threads,
      batch = 1,
      modelMemoryMb,
      memoryLimitMb,
      hangTimeoutSeconds,
      store,
      modelPath,
      trainer,
      python,
    } = options;
    const gpu = { name: options.name ?? defaultName(provider, device), roles: options.roles ?? DEVICE_ROLES, slots: 2 * batch };
    if (role === 'gpu') checkGpuOptions(gpu.name, gpu.roles, batch);
    const hangTimeoutMs = hangTimeoutSeconds === undefined ? undefined : hangTimeoutSeconds * 1000;
    const onBusy = (seconds: number) => metrics().deviceBusy.record(seconds, { device: services.device });
    const host =
      role === 'gpu' ? new InferenceHost({ device, provider, threads, batch, modelMemoryMb, memoryLimitMb, hangTimeoutMs, onBusy }) : null;
    const worker = `${hostname()}-${process.pid}-${role}${role === 'gpu' ? `-${device}` : ''}`;
    const services = new ActivityServices({ worker, host, metrics, store, modelPath, trainer, python, ...(host ? gpu : {}) });
    super({
      name: 'refineloop',
      activities: createActivities(services),
      workerInterceptors: { activity: [(context) => observeActivities(context, metrics, worker, services.device)] },
    });
    this.host = host;
    this.role = role;
    this.gpu = gpu;
  }

  override configureWorker(given: WorkerOptions): WorkerOptions {
    const isSibling = this.siblings.some(({ taskQueue }) => taskQueue === given.taskQueue);
    if (isSibling) return given;
    const options: WorkerOptions = { ...DEFAULTS, ...given };
    this.server = { connection: options.connection, namespace: options.namespace };
    if (this.role === 'orchestrator') return super.configureWorker(withOwnWorkflows(options));
    if (this.role !== 'gpu') return super.configureWorker(options);
    const slots = options.tuner ? {} : { maxConcurrentActivityTaskExecutions: this.gpu.slots };
    const identity = `${this.gpu.name} ${process.pid}@${hostname()}`;
    const configured = super.configureWorker({ identity, ...slots, ...options });
    this.siblings = this.furtherQueues(options.taskQueue).map((taskQueue) => ({
      ...configured,
      ...this.onlyActivities(configured),
      taskQueue,
    }));
    return configured;
  }

  /** Its own queue; where it serves the shared one, those of its roles, too. */
  private furtherQueues(taskQueue: string | undefined): string[] {
    const { name, roles } = this.gpu;
    const ofRoles = taskQueue === TASK_QUEUES.gpu ? roles.map((role) => roleQueue(role, this.host!.provider)) : [];
    const queues = [gpuQueue(name), ...ofRoles];
    return queues.filter((queue) => queue !== taskQueue);
  }

  /** Plugins after this one have yet to act; those of the connection the SDK adds again. */
  private onlyActivities({ plugins = [], connection }: WorkerOptions): Partial<WorkerOptions> {
    const later = plugins.slice(plugins.indexOf(this) + 1).filter((plugin) => !connection?.plugins.includes(plugin));
    // They are idle but for what is pinned or was given back: one poll at a time will do.
    return { plugins: later, workflowsPath: undefined, workflowBundle: undefined, maxConcurrentActivityTaskPolls: 1 };
  }

  override configureReplayWorker(options: ReplayWorkerOptions): ReplayWorkerOptions {
    return super.configureReplayWorker(withOwnWorkflows(options));
  }

  override configureBundler(options: BundleOptions): BundleOptions {
    return super.configureBundler({ ...options, workflowsPath: combinedWorkflows(options.workflowsPath) });
  }

  /**
   * Before: registers the search attributes, without which no workflow of ours gets anywhere. Beside it: runs the workers on a device's
   * further queues, as long as this one runs. After: ends the inference host.
   */
  override async runWorker(worker: Worker, next: (w: Worker) => Promise<void>): Promise<void> {
    if (this.siblings.some(({ taskQueue }) => taskQueue === worker.options.taskQueue)) return next(worker);
    try {
      const { connection, namespace = 'default' } = this.server;
      if (this.role === 'orchestrator' && connection) await ensureSearchAttributes(connection, namespace);
      const siblings = await Promise.all(this.siblings.map((options) => Worker.create(options)));
      await runTogether([worker, ...siblings], [() => super.runWorker(worker, next), ...siblings.map((sibling) => () => sibling.run())]);
    } finally {
      await this.host?.close();
    }
  }
}

/** How soon workers follow one that was told to stop. A signal tells all of them. */
const FOLLOW_MS = 100;

/** Runs workers until all have ended; where one stops, all do. Rejects with the first error. */
async function runTogether(workers: Worker[], runs: Array<() => Promise<void>>): Promise<void> {
  const stopAll = () => workers.filter((worker) => worker.getState() === 'RUNNING').forEach((worker) => worker.shutdown());
  const isStopping = (worker: Worker) => !['INITIALIZED', 'RUNNING'].includes(worker.getState());
  const following = setInterval(() => workers.some(isStopping) && stopAll(), FOLLOW_MS);
  const ends = await Promise.allSettled(runs.map((run) => run().finally(stopAll)));
  clearInterval(following);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** Of a gpu worker that was given none: the same after a restart. */
export const defaultName = (provider: string, device: number): string =>
  `${hostname()
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 40)}-${provider}-${device}`;

/** @throws InvalidInput */
/** @throws InvalidInput on a name that cannot be a queue's, roles that are none, a batch of nothing */
export function checkGpuOptions(name: string, roles: readonly string[], batch: number): void {
  if (!isWorkerName(name)) {
    throw new InvalidInput(
      `worker name ${JSON.stringify(name)}: use letters, digits, ".", "_" and "-", at most 64, and not the name of a role (${DEVICE_ROLES.join(', ')}) or one that begins with it and a "-"`,
    );
  }
  const unknown = roles.filter((role) => !(DEVICE_ROLES as readonly string[]).includes(role));
  if (unknown.length > 0 || roles.length === 0)
    throw new InvalidInput(`roles ${JSON.stringify(roles)}: name one or more of ${DEVICE_ROLES.join(', ')}`);
  if (!Number.isInteger(batch) || batch < 1) throw new InvalidInput(`batch ${batch}: a whole number from 1`);
}

let made: StepMetrics | undefined;

/** Of this process's runtime, which is settled when the first worker is made. */
function metrics(): StepMetrics {
  return (made ??= stepMetrics(Runtime.instance().metricMeter));
}

type HasWorkflows = Pick<WorkerOptions, 'workflowsPath' | 'workflowBundle' | 'plugins'>;

/** A bundle that the user made stays; a path becomes one that exports both; with neither, our prebuilt bundle. */
function withOwnWorkflows<T extends HasWorkflows>(options: T): T {
  if (options.workflowBundle) return options;
  if (options.workflowsPath) return { ...options, workflowsPath: combinedWorkflows(options.workflowsPath) };
  const codePath = options.plugins?.some(({ name }) => name === 'OpenTelemetryPlugin') ? TRACED_BUNDLE : OWN_BUNDLE;
  return existsSync(codePath) ? { ...options, workflowBundle: { codePath } } : { ...options, workflowsPath: OWN_WORKFLOWS };
}

/**
 * Writes a module that re-exports the user's workflows and ours. It lies in a folder of its own, so that nothing is
 * written beside their code; its node_modules is theirs, because the bundler looks for the SDK from there.
 */
function combinedWorkflows(theirs: string): string {
  if (theirs === OWN_WORKFLOWS || theirs.includes('refineloop-workflows-')) return theirs;
  const modules = modulesOf(theirs) ?? modulesOf(OWN_WORKFLOWS);
  const name = sha256Hex([theirs, OWN_WORKFLOWS, modules, userInfo().uid].join('\n')).slice(0, 16);
  const folder = join(tmpdir(), `refineloop-workflows-${name}`);
  const file = join(folder, 'index.js');
  mkdirSync(folder, { recursive: true });
  if (modules && !existsSync(join(folder, 'node_modules'))) link(modules, join(folder, 'node_modules'));
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, [theirs, OWN_WORKFLOWS].map((path) => `export * from ${JSON.stringify(path)};\n`).join(''));
  renameSync(draft, file);
  return file;
}

/** The nearest node_modules above a file that has the SDK. */
function modulesOf(file: string): string | undefined {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    if (existsSync(join(modules, '@temporalio/workflow'))) return modules;
    if (folder === dirname(folder)) return undefined;
  }
}

function link(target: string, path: string): void {
  try {
    symlinkSync(target, path, 'dir');
  } catch (error) {
    // Another worker that starts at the same time has made it.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
