/** A worker that is started again whenever it ends, as a service manager would do it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerRole } from '../../core/queues.js';
import { POLLS, startWorker } from './cluster.js';
import type { RunningCli } from './cli.js';
import { descendants, kill, until } from './processes.js';

const PAUSE_MS = 500;

export class SupervisedWorker {
  private current!: RunningCli;
  private stopping = false;
  private said = '';
  private awayMs = PAUSE_MS;
  private readonly over: Promise<void>;

  /** @param args of the worker beside its queue */
  constructor(
    private readonly role: WorkerRole,
    address: string,
    ...args: string[]
  ) {
    this.over = (async () => {
      while (!this.stopping) {
        this.current = startWorker(role, address, ...args);
        this.said += (await this.current.ended).stdout;
        await sleep(this.awayMs);
        this.awayMs = PAUSE_MS;
      }
    })();
  }

  /** Waits until it polls; one that ends before it does is followed by the next. */
  async ready(): Promise<void> {
    const polls = () =>
      this.current.saw(POLLS(this.role)).then(
        () => true,
        () => false,
      );
    while (!(await polls())) {
      if (this.stopping) throw new Error(`the worker on ${this.role} was stopped`);
      await sleep(100);
    }
  }

  /** All that it and those before it wrote to stdout. */
  get stdout(): string {
    return this.said + this.current.output().stdout;
  }

  get pid(): number {
    return this.current.pid;
  }

  /** Ends it by a signal; another comes after so many seconds and is waited for. */
  async end(signal: NodeJS.Signals, seconds: number): Promise<void> {
    const ended = this.current;
    this.awayMs = seconds * 1000;
    ended.signal(signal);
    await ended.ended;
    await until('the next worker is started', () => this.current !== ended || this.stopping, 120_000);
    await this.ready();
  }

  /** Its inference host, once it has one. */
  async host(): Promise<number> {
    return until(
      `a worker on ${this.role} has an inference host`,
      () => descendants(this.pid).find(({ command }) => command.includes('host-process'))?.pid,
    );
  }

  /** SIGKILL, also to one that is stopped. */
  async stop(): Promise<void> {
    this.stopping = true;
    kill(this.pid, 'SIGKILL');
    await this.over;
  }
}
