import { createWriteStream } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, NativeConnection, type LogEntry, type Worker } from '@temporalio/worker';
import { sha256Hex } from '../../core/content-hash.js';
import { makeFolder, openStore, storageUnavailable } from '../../engine/storage/index.js';
import { createWorker } from '../../workers/index.js';
import { connect, type OpenClient } from '../client/connect.js';
import { tracing, type Tracing } from '../client/tracing.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';
import { embeddedFolder, removeServerFile, writeServerFile } from '../client/server-file.js';
import { serveStore } from '../web/serve.js';
import { claim } from './claim.js';
import { requireFreeSpace, watchFreeSpace } from './free-space.js';
import { superviseServer, superviseWorkers, type EmbeddedWorker } from './supervised.js';
import { installTelemetry, jsonValue, type TelemetryOptions } from './telemetry.js';
import { choosePort, startTemporalServer } from './temporal-server.js';

export interface EmbeddedOptions extends TelemetryOptions {
  storeUri: string;
  port?: number;
  uiPort?: number;
  webPort?: number;
  /** Inference hosts on this machine's CPU, each with its share of the cores. Default: {@link defaultDevices}. */
  devices?: number;
  /** A worker for trainings, too, and the program and interpreter that it uses, where they are not the usual ones. */
  training?: Pick<EmbeddedWorker, 'trainer' | 'python'>;
  /** Workers in processes of their own; what is killed of them and the server is started again. */
  supervised?: boolean;
}

/** Ways to kill a part of an embedded server that is supervised. Each says what it was; `null`: there was nothing of the kind. */
export type Crashes = Record<'server' | 'worker' | 'host', (chance: number) => string | null>;

/** Server, workers and web page in and beside this process. */
export interface Embedded {
  open: OpenClient;
  ui: string;
  web: string;
  /** Resolves, or rejects, when server or workers end before they were stopped. */
  broken: Promise<never>;
  /** Says something to whoever reads stderr, in the format of the workers' log. */
  log(message: string): void;
  /** Where it is supervised. */
  crashes: Crashes | null;
  stop(): Promise<void>;
}

/** Longer than the grace that workers give to their steps. */
const STOP_TIMEOUT_MS = 15_000;
const USUAL_WEB_PORT = 8234;
const NAMESPACE = 'default';

/** Thrown when another process has started, or is just starting, the embedded server of the same store. Use that one. */
export class ServerIsAnothers extends ServiceUnreachable {}

/**
 * The embedded default: Temporal's development server on a SQLite file beside the store, one worker a queue, and the
 * page behind the links. What was running on that file when it was stopped, or killed, goes on.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { storeUri } = options;
  const folder = embeddedFolder(storeUri);
  const claimed = await claim(`store-${sha256Hex(storeUri)}`);
  if (!claimed) throw new ServerIsAnothers(`another command keeps the embedded server of ${storeUri}`);
  const stopping: Array<() => Promise<void> | void> = [claimed.release];
  const stop = async () => {
    // Nothing waits for ever for what cannot end: a server on a full disk, a worker of a server that is gone.
    for (const step of stopping.splice(0).reverse()) await Promise.race([step(), sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
  };
  try {
    const store = await openStore(storeUri);
    await makeWritable(folder);
    await requireFreeSpace(folder);
    const space = watchFreeSpace(folder);
    stopping.push(space.stop);
    const log = installLog(join(folder, 'workers.log'), options);
    const webPort = await choosePort(options.webPort, USUAL_WEB_PORT, '--web-port');
    const server = await (options.supervised ? superviseServer : startTemporalServer)({
      database: join(folder, 'temporal.sqlite'),
      logFile: join(folder, 'temporal.log'),
      port: options.port,
      uiPort: options.uiPort,
    });
    stopping.push(server.stop);
    const web = await serveStore(store, webPort);
    stopping.push(web.close);
    const wanted = workersOf(options.devices ?? defaultDevices(), options.training);
    const processes = options.supervised ? await superviseWorkers(server.address, wanted, join(folder, 'workers.log')) : null;
    const workers = processes ?? (await startWorkers(server.address, wanted, await tracing(log)));
    stopping.push(workers.stop);
    const crashes = processes && {
      server: () => (server.crash(), 'the Temporal server'),
      worker: processes.crashWorker,
      host: processes.crashHost,
    };
    const settings = {
      connectionOptions: { address: server.address },
      namespace: NAMESPACE,
      source: 'embedded' as const,
      ui: server.ui,
      web: web.url,
    };
    const open = await connect(settings);
    stopping.push(open.close);
    await writeServerFile(storeUri, { address: server.address, namespace: NAMESPACE, ui: server.ui, web: web.url, pid: process.pid });
    stopping.push(() => removeServerFile(storeUri));
    const died = server.ended.then(() => {
      throw new Error(`the embedded Temporal server has ended; its log is ${join(folder, 'temporal.log')}`);
    });
    const broken = Promise.race([died, workers.failed, space.full]);
    broken.catch(() => undefined); // Whoever waits hears of it.
    return { open, ui: server.ui, web: web.url, broken, log, crashes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @throws StorageUnavailable that says what is in the way */
async function makeWritable(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    throw storageUnavailable('keep the embedded server in', folder, error);
  }
}

/**
 * Two hosts with half the cores each make more pictures than one with all: small operators do not spread well over
 * threads. More than two would each keep a copy of the models in memory.
 */
function defaultDevices(): number {
  return Math.min(2, availableParallelism());
}

/** One a queue, and of those for models one a device, with its share of the cores. */
function workersOf(devices: number, training: EmbeddedOptions['training']): EmbeddedWorker[] {
  const threads = Math.max(1, Math.floor(availableParallelism() / devices));
  const hosts = Array.from({ length: devices }, (_, device) => ({ role: 'gpu' as const, device, threads }));
  const trainers = training ? [{ role: 'train' as const, ...training }] : [];
  return [{ role: 'orchestrator' as const }, { role: 'cpu' as const }, ...hosts, ...trainers].map((worker) => ({
    ...worker,
    namespace: NAMESPACE,
  }));
}

async function startWorkers(
  address: string,
  options: EmbeddedWorker[],
  traces: Tracing | null,
): Promise<{ failed: Promise<never>; stop(): Promise<void> }> {
  // A connection each: the SDK refuses two workers on one queue of one connection.
  const connections = await Promise.all(options.map(() => NativeConnection.connect({ address })));
  const workers = await Promise.all(
    options.map((option, i) => createWorker({ connection: connections[i]!, plugins: traces ? [traces.plugin] : [], ...option })),
  );
  const runs = workers.map((worker) => worker.run());
  const failed = new Promise<never>((_, reject) => runs.forEach((run) => void run.catch(reject)));
  failed.catch(() => undefined);
  const stop = async () => {
    workers.forEach(shutdown);
    await Promise.allSettled(runs);
    await Promise.all(connections.map((connection) => connection.close()));
    await traces?.flush();
  };
  return { failed, stop };
}

function shutdown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Workers log to a file, so that the terminal stays the person's, unless it is a machine's. Signals are the command's business. */
function installLog(file: string, options: TelemetryOptions): (message: string) => void {
  if (options.logFormat === 'json') return installTelemetry(options, { shutdownSignals: [] });
  const log = createWriteStream(file, { flags: 'a' });
  log.on('error', () => undefined); // A full disk is told by the store.
  const write = ({ level, message, meta, timestampNanos }: LogEntry) => {
    const time = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
    log.write(`${time} ${level} ${message} ${meta === undefined ? '' : JSON.stringify(meta, jsonValue)}\n`);
  };
  return installTelemetry(options, { logger: new DefaultLogger('INFO', write), shutdownSignals: [] });
}
