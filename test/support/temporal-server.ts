/** A Temporal server on a SQLite file, in a process that can be killed and started again on the same file and port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import getPort from 'get-port';
import { findTemporalCli } from '#temporal-cli';
import { serverArgs } from '../../app/embedded/temporal-server.js';
import { until } from './processes.js';

export interface TemporalServer {
  address: string;
  /** Sends a signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

/** @param folder of a test: its database lies there, and by its name what is left of the server is found */
export async function startTemporal(folder: string): Promise<TemporalServer> {
  const found = findTemporalCli();
  if (!found) throw new Error('no Temporal CLI: run `npm run setup`');
  const [port, uiPort] = [await getPort(), await getPort()];
  const address = `127.0.0.1:${port}`;
  let server: ChildProcess;
  const start = async () => {
    server = spawn(found.path, serverArgs(join(folder, 'temporal.sqlite'), port, uiPort), { stdio: 'ignore' });
    await until(`a Temporal server answers on ${address}`, () => {
      if (server.exitCode !== null) throw new Error(`the Temporal server ended at once (${server.exitCode})`);
      return answers(address);
    });
  };
  const kill = async (signal: NodeJS.Signals) => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
  };
  await start();
  return { address, kill, start };
}

async function answers(address: string): Promise<boolean> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: '2 seconds' });
    await connection.workflowService.describeNamespace({ namespace: 'default' });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}
