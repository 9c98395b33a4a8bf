/** The embedded server and workers so that each can be killed: in processes of their own, which are started again. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CreateWorkerOptions } from '../../workers/index.js';
import { startTemporalServer, type TemporalServer, type TemporalServerOptions } from './temporal-server.js';

/** A server that is started again, on the same ports and file, when it ends unasked. `ended`: it could not be. */
export async function superviseServer(options: TemporalServerOptions): Promise<TemporalServer> {
  let server = await startTemporalServer(options);
  const { address, ui } = server;
  const [port, uiPort] = [address, ui].map((url) => Number(url.split(':').at(-1)));
  let stopping = false;
  const ended = (async () => {
    for (;;) {
      await server.ended;
      if (stopping) return;
      server = await startTemporalServer({ ...options, port, uiPort });
      if (stopping) await server.stop();
    }
  })();
  ended.catch(() => undefined); // Whoever waits hears of it.
  const stop = async () => {
    stopping = true;
    await server.stop();
    await ended.catch(() => undefined);
  };
  return { address, ui, ended, crash: () => server.crash(), stop };
}

export type EmbeddedWorker = Pick<CreateWorkerOptions, 'namespace' | 'role' | 'device' | 'threads' | 'trainer' | 'python'>;
export type WorkerProcessOptions = EmbeddedWorker & { address: string };

/** Workers in processes of their own. */
export interface SupervisedWorkers {
  /** Rejects when one ends again and again. */
  failed: Promise<never>;
  /** SIGKILL to one of them, by chance of [0, 1). Returns which it was. */
  crashWorker(chance: number): string;
  /** SIGKILL to the inference host of one; `null` where none is up, or none can be found (it is looked for in Linux' /proc). */
  crashHost(chance: number): string | null;
  stop(): Promise<void>;
}

const PAUSE_MS = 1_000;
/** A worker that ends so often in a row before it is ready has another reason than a crash. */
const MOST_STARTS = 10;

/** @param logFile what they log goes there */
export async function superviseWorkers(address: string, wanted: EmbeddedWorker[], logFile: string): Promise<SupervisedWorkers> {
  const log = openSync(logFile, 'a');
  const workers = wanted.map((options) => new WorkerProcess({ ...options, address }, log));
  const failed = Promise.race(workers.map(({ failed }) => failed));
  failed.catch(() => undefined);
  await Promise.race([failed, Promise.all(workers.map(({ ready }) => ready))]);
  const pick = <T>(of: T[], chance: number): T | undefined => of[Math.floor(chance * of.length)];
  return {
    failed,
    crashWorker: (chance) => pick(workers, chance)!.crash(),
    crashHost: (chance) => {
      const hosts = workers.flatMap((worker) => worker.hosts().map((pid) => ({ worker, pid })));
      const found = pick(hosts, chance);
      if (!found) return null;
      process.kill(found.pid, 'SIGKILL');
      return `the inference host of ${found.worker.name} (process ${found.pid})`;
    },
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      closeSync(log);
    },
  };
}

class WorkerProcess {
  readonly name: string;
  readonly ready: Promise<void>;
  readonly failed: Promise<never>;
  private child!: ChildProcess;
  private stopping = false;
  private readonly over: Promise<void>;

  constructor(
    private readonly options: WorkerProcessOptions,
    private readonly log: number,
  ) {
    this.name = `the ${options.role} worker${options.device === undefined ? '' : ` of device ${options.device}`}`;
    let [onReady, onFailed] = [() => {}, (_: Error) => {}];
    this.ready = new Promise((resolve) => (onReady = resolve));
    this.failed = new Promise((_, reject) => (onFailed = reject));
    this.over = this.keepUp(onReady).catch(onFailed);
  }

  /** SIGKILL; another takes its place after a second. */
  crash(): string {
    const { pid } = this.child;
    this.child.kill('SIGKILL');
    return `${this.name} (process ${pid})`;
  }

  /** Its children, which are inference hosts. */
  hosts(): number[] {
    const { pid } = this.child;
    try {
      return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return []; // It has just ended, or this is no Linux.
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.child.kill('SIGTERM');
    await this.over;
  }

  private async keepUp(onReady: () => void): Promise<void> {
    for (let failures = 0; failures < MOST_STARTS;) {
      // In a process group of its own, so that a Ctrl-C in the terminal stops the command alone, and the command it.
      this.child = fork(fileURLToPath(new URL('./worker-process.js', import.meta.url)), [JSON.stringify(this.options)], {
        detached: true,
        execArgv: [],
        stdio: ['ignore', this.log, this.log, 'ipc'],
      });
      failures++;
      this.child.once('message', () => {
        failures = 0;
        onReady();
      });
      await once(this.child, 'exit');
      if (this.stopping) return;
      await sleep(PAUSE_MS);
      if (this.stopping) return;
    }
    throw new Error(`${this.name} ended ${MOST_STARTS} times in a row`);
  }
}
