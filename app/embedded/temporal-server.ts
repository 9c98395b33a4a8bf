import { fork, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import getPort from 'get-port';
import { sha256Hex } from '../../core/content-hash.js';
import { FAIR_QUEUES } from '../../core/queues.js';
import { SEARCH_ATTRIBUTES } from '../../core/search-attributes.js';
import { findTemporalCli } from '#temporal-cli';
import { claim } from './claim.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';

export interface TemporalServerOptions {
  /** SQLite file: what was running when the server stopped goes on when it is started on the same file. */
  database: string;
  logFile: string;
  /** Asked for by a person: in use means refused. Else the usual one, or any that is free. */
  port?: number;
  uiPort?: number;
}

export interface TemporalServer {
  address: string;
  ui: string;
  /** Resolves when the server ends, however. */
  ended: Promise<void>;
  /** SIGKILL, as a crash would end it. */
  crash(): void;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const USUAL_PORT = 7233;
const USUAL_UI_PORT = 8233;
const START_TIMEOUT_MS = 60_000;
/**
 * Bounds of the server's caches (its defaults: 128,000 workflows and 256 MiB of events), far above what the open items of a few runs need: so that its
 * memory is that of the items that are open, and not of all that have been since it was started.
 */
const BOUNDED_CACHES: Record<string, number> = {
  'history.hostLevelCacheMaxSize': 512,
  'history.eventsHostLevelCacheMaxSizeBytes': 8 * 2 ** 20,
};
const TYPE_NAMES = { KEYWORD: 'Keyword', KEYWORD_LIST: 'KeywordList', INT: 'Int', DOUBLE: 'Double' } as const;

/**
 * Starts Temporal's development server with its UI on the loopback interface.
 * @throws ServiceUnreachable where there is no CLI, a port is in use, or the server does not come up
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const cli = findTemporalCli();
  if (!cli)
    throw new ServiceUnreachable(
      'there is no Temporal CLI: run `npm run setup`, install `temporal`, or set TEMPORAL_ADDRESS to a server that runs',
    );
  const port = await choosePort(options.port, USUAL_PORT, '--port');
  const uiPort = await choosePort(options.uiPort, USUAL_UI_PORT, '--ui-port');
  await mkdir(dirname(options.database), { recursive: true });
  await mkdir(dirname(options.logFile), { recursive: true });

  const guard = fork(
    fileURLToPath(new URL('./server-guard.js', import.meta.url)),
    [sha256Hex(options.database), cli.path, ...serverArgs(options.database, port, uiPort)],
    {
      detached: true,
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  );
  const log = createWriteStream(options.logFile, { flags: 'a' });
  log.on('error', () => undefined); // A full disk is told by the store, which knows what to do about it.
  guard.stdout!.pipe(log, { end: false });
  guard.stderr!.pipe(log, { end: false });
  const ended = new Promise<void>((resolve) => guard.once('exit', () => resolve()));
  const address = `${HOST}:${port}`;
  try {
    await answers(address, guard, options.logFile);
  } catch (error) {
    guard.disconnect();
    throw error;
  }
  const stop = async () => {
    if (guard.connected) guard.disconnect();
    await ended;
    log.end();
  };
  const crash = () => void (guard.connected && guard.send('crash'));
  return { address, ui: `http://${HOST}:${uiPort}`, ended, crash, stop };
}

/** Arguments of the CLI; infra/compose.yaml gives the same ones. */
export function serverArgs(database: string, port: number, uiPort: number, ip = HOST): string[] {
  const attributes = Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${TYPE_NAMES[type]}`]);
  // A file database with its defaults is several times slower than one in memory; these two pragmas make up for it.
  const pragmas = ['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'];
  // Runs that share a queue are served in turn (docs/how-it-works.md); with one partition a queue, exactly.
  const configuration = Object.entries({ ...FAIR_QUEUES, ...BOUNDED_CACHES }).flatMap(([name, value]) => [
    '--dynamic-config-value',
    `${name}=${value}`,
  ]);
  const where = ['--ip', ip, '--port', String(port), '--ui-port', String(uiPort)];
  return ['server', 'start-dev', '--db-filename', database, ...where, ...pragmas, ...configuration, ...attributes, '--log-level', 'warn'];
}

async function answers(address: string, guard: ChildProcess, logFile: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (guard.exitCode !== null) throw new ServiceUnreachable(`the embedded Temporal server ended at once; its log is ${logFile}`);
    try {
      const connection = await Connection.connect({ address, connectTimeout: '2 seconds' });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return await connection.close();
    } catch {
      await sleep(150);
    }
  }
  throw new ServiceUnreachable(
    `the embedded Temporal server did not answer on ${address} within ${START_TIMEOUT_MS / 1000} s; its log is ${logFile}`,
  );
}

/**
 * The port a person asked for, or refuses; else the usual one where it is free, else any. Every command that starts wants
 * the usual one, and it stays free for the seconds that the server takes to listen on it: so it is claimed first.
 */
export async function choosePort(asked: number | undefined, usual: number, option: string): Promise<number> {
  if (asked === undefined) return (await claim(`port-${usual}`)) && (await isFree(usual)) ? usual : getPort({ host: HOST });
  if (await isFree(asked)) return asked;
  throw new ServiceUnreachable(`port ${asked} is in use; stop what listens there, or name another with ${option}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, HOST, () => probe.close(() => resolve(true)));
  });
}
