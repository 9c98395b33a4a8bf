import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { RUN_ID_PATTERN } from '../../core/ids.js';
import { openStore, storeUri, type Store } from '../../engine/storage/index.js';
import { connect, connectIfAny, findServer, type OpenClient } from '../client/connect.js';
import { requireRun, type RunName } from '../client/control.js';
import type { TrainingName } from '../client/train.js';
import { ServiceUnreachable } from '../client/service-unreachable.js';

/** Options that every command takes. */
export interface CommonOptions {
  json?: boolean;
  address?: string;
  namespace?: string;
  store?: string;
}

export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'one JSON document on stdout; everything else on stderr')
    .option('--address <host:port>', 'Temporal server (default: TEMPORAL_ADDRESS, the profile file, else an embedded one)')
    .option('--namespace <name>', 'Temporal namespace (default: default)')
    .option('--store <uri>', 'where artifacts and records are, such as file:./runs (default: the recipe says, else file:./runs)');
}

/** Of commands whose workers are watched by more than a person. */
export function withTelemetryOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--metrics <address:port>', 'serve metrics for Prometheus there, under /metrics')
        .env('REFINELOOP_METRICS')
        .argParser(bindAddress),
    )
    .addOption(
      new Option('--log-format <format>', 'of what workers log; json: one object a line on stderr')
        .env('REFINELOOP_LOG_FORMAT')
        .choices(['text', 'json'])
        .default('text'),
    );
}

export interface TrainerOptions {
  trainer?: string;
  python?: string;
}

/** Of commands whose workers train. */
export function withTrainerOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--trainer <folder>', 'another training program: train.py, export.py and measure.py (docs/training.md)').env(
        'REFINELOOP_TRAINER',
      ),
    )
    .addOption(
      new Option('--python <path>', 'interpreter of the training program (default: the pinned environment in the cache)').env(
        'REFINELOOP_PYTHON',
      ),
    );
}

function bindAddress(text: string): string {
  const [, named, port] = /^\[?([0-9a-f:.]+|localhost)\]?:(\d+)$/i.exec(text) ?? [];
  if (named === undefined || !(named === 'localhost' || isIP(named)) || Number(port) > 65_535) {
    throw new InvalidArgumentError(
      `expected a numeric address and a port, such as 127.0.0.1:9464 or 0.0.0.0:9464, not ${JSON.stringify(text)}`,
    );
  }
  return named === 'localhost' ? `127.0.0.1:${port}` : text;
}

/** The store that a command without a recipe works on. */
export function storeOf({ store }: CommonOptions): string {
  return storeUri(store ?? process.env['REFINELOOP_STORE'] ?? 'file:./runs', process.cwd());
}

export interface OpenRun {
  run: RunName;
  store: Store;
}

/** @throws InvalidInput for an unknown run */
export async function openRun(runId: string, options: CommonOptions): Promise<OpenRun> {
  const run = { runId, storeUri: storeOf(options) };
  await requireRun(run);
  return { run, store: await openStore(run.storeUri) };
}

/** The training of this name, where the store has one and no run of it. */
export async function findTraining(id: string, options: CommonOptions): Promise<TrainingName | null> {
  const uri = storeOf(options);
  const store = await openStore(uri);
  if (!RUN_ID_PATTERN.test(id) || (await store.run(id).readManifest()) || !(await store.training(id).readManifest())) return null;
  return { storeUri: uri, trainingId: id };
}

/** For commands that read: the server where one answers, else `null` and the store alone. */
export async function tryConnect(storeUri: string, options: CommonOptions): Promise<OpenClient | null> {
  try {
    return await connectIfAny({ ...options, storeUri });
  } catch (error) {
    if (!(error instanceof ServiceUnreachable)) throw error;
    process.stderr.write(`${error.message}. Reading the store alone.\n`);
    return null;
  }
}

/** For commands that steer. @throws ServiceUnreachable */
export async function mustConnect(storeUri: string, options: CommonOptions): Promise<OpenClient> {
  const settings = await findServer({ ...options, storeUri });
  if (!settings) {
    throw new ServiceUnreachable(
      `no Temporal server is known: give --address, set TEMPORAL_ADDRESS, or start one on this store with \`refineloop dev --store ${storeUri}\`; a suspended run goes on with \`refineloop run\``,
    );
  }
  return connect(settings);
}

/** A path as a person would type it from here, when that is shorter; a URI as it is. */
export function shown(path: string): string {
  if (!path.startsWith('/')) return path;
  const here = `${process.cwd()}/`;
  return resolve(path).startsWith(here) ? `./${resolve(path).slice(here.length)}` : path;
}

/** A whole number that an option gives. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(
        `${JSON.stringify(text)} is not a whole number from ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`}`,
      );
    }
    return value;
  };
}
