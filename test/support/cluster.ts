/** A Temporal server without the product's help, and the product's workers as processes that come and go. */
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Client } from '@temporalio/client';
import type { WorkerRole } from '../../core/queues.js';
import { findTemporalCli } from '#temporal-cli';
import { startCli, type RunningCli } from './cli.js';

export class Cluster {
  private constructor(private readonly environment: TestWorkflowEnvironment) {}

  /** @param config dynamic configuration of the server */
  static async start(config: Record<string, boolean | number> = {}): Promise<Cluster> {
    Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
    const found = findTemporalCli();
    if (!found) throw new Error('no Temporal CLI: run `npm run setup`');
    const extraArgs = Object.entries(config).flatMap(([name, value]) => ['--dynamic-config-value', `${name}=${value}`]);
    const executable = { type: 'existing-path', path: found.path } as const;
    const environment = await TestWorkflowEnvironment.createLocal({
      server: { executable, ip: '127.0.0.1', log: { level: 'error', format: 'pretty' }, extraArgs },
    });
    return new Cluster(environment);
  }

  get address(): string {
    return this.environment.address;
  }

  get client(): Client {
    return this.environment.client;
  }

  /** A worker that polls when this resolves. `device`: of a gpu worker. */
  async worker(role: WorkerRole, ...args: string[]): Promise<RunningCli> {
    const worker = startWorker(role, this.address, ...args);
    await worker.saw(POLLS(role));
    return worker;
  }

  async stop(): Promise<void> {
    await this.environment.teardown();
  }
}

/** What a worker says when it polls. */
export const POLLS = (role: WorkerRole) => `worker on queue ${role}`;

/** The product's worker as a process. */
export function startWorker(role: WorkerRole, address: string, ...args: string[]): RunningCli {
  return startCli(['worker', '--queue', role, '--address', address, ...args]);
}
