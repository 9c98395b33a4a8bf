import { existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SimplePlugin } from '@temporalio/plugin';
import { Runtime, type BundleOptions, type ReplayWorkerOptions, type Worker, type WorkerOptions } from '@temporalio/worker';
import { ActivityServices, createActivities, stepMetrics, type StepMetrics } from '../activities/index.js';
import { sha256Hex } from '../core/content-hash.js';
import type { QueueRole } from '../core/item-plan.js';
import { InferenceHost } from '../engine/inference/index.js';
import { observeActivities } from './observe-activities.js';
import { ensureSearchAttributes } from './search-attributes.js';

export interface RefineLoopPluginOptions {
  /** What the worker is for. A worker on a queue of your own that runs the workflows is an `orchestrator`. */
  role: QueueRole;
  /** Device number, for `gpu`: one inference host a worker, one worker a device. Default 0. */
  device?: number;
  /** ONNX Runtime's execution provider, for `gpu`. Default `cpu`. */
  provider?: string;
  /** Threads of the host, for `gpu` on the CPU. Default: one a core. Results do not depend on it. */
  threads?: number;
  /** Where this machine sees the store, when that is elsewhere than where runs are started. */
  store?: string;
  /** Maps a model's path as the run names it to where this machine has it. */
  modelPath?: (path: string) => string;
}

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
  private readonly role: QueueRole;
  /** Of the worker that is being made. */
  private server: Pick<WorkerOptions, 'connection' | 'namespace'> = {};

  constructor(options: RefineLoopPluginOptions) {
    const { role, device = 0, provider = 'cpu', threads, store, modelPath } = options;
    const onBusy = (seconds: number) => metrics().deviceBusy.record(seconds, { device: services.device });
    const host = role === 'gpu' ? new InferenceHost({ device, provider, threads, onBusy }) : null;
    const worker = `${hostname()}-${process.pid}-${role}${role === 'gpu' ? `-${device}` : ''}`;
    const services = new ActivityServices({ worker, host, metrics, store, modelPath });
    super({
      name: 'refineloop',
      activities: createActivities(services),
      workerInterceptors: { activity: [(context) => observeActivities(context, metrics, worker, services.device)] },
    });
    this.host = host;
    this.role = role;
  }

  override configureWorker(options: WorkerOptions): WorkerOptions {
    this.server = { connection: options.connection, namespace: options.namespace };
    return super.configureWorker(this.role === 'orchestrator' ? withOwnWorkflows(options) : options);
  }

  override configureReplayWorker(options: ReplayWorkerOptions): ReplayWorkerOptions {
    return super.configureReplayWorker(withOwnWorkflows(options));
  }

  override configureBundler(options: BundleOptions): BundleOptions {
    return super.configureBundler({ ...options, workflowsPath: combinedWorkflows(options.workflowsPath) });
  }

  /** Before: registers the search attributes, without which no workflow of ours gets anywhere. After: ends the inference host. */
  override async runWorker(worker: Worker, next: (w: Worker) => Promise<void>): Promise<void> {
    try {
      const { connection, namespace = 'default' } = this.server;
      if (this.role === 'orchestrator' && connection) await ensureSearchAttributes(connection, namespace);
      await super.runWorker(worker, next);
    } finally {
      await this.host?.close();
    }
  }
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
