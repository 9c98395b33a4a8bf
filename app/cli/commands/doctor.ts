import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import type { Client } from '@temporalio/client';
import pc from '../colours.js';
import { findTemporalCli } from '#temporal-cli';
import { DEVICE_ROLES, FAIR_QUEUES } from '../../../core/queues.js';
import { SEARCH_ATTRIBUTES } from '../../../core/search-attributes.js';
import { verifyPack } from '../../../engine/inference/index.js';
import { findTrainerPython, trainerProgram } from '../../../engine/training/index.js';
import { makeFolder, openStore } from '../../../engine/storage/index.js';
import { connect, findServer } from '../../client/connect.js';
import { servesInTurn } from '../../client/probe-fairness.js';
import { gpuWorkers } from '../../client/queues.js';
import { storeOf, withCommonOptions, type CommonOptions } from '../context.js';
import { FoundWrong } from '../exit-codes.js';
import { findDevices } from '../find-devices.js';
import { BUNDLED_PACKS } from './models.js';
import { print, printJson } from '../output.js';

/** One thing that was looked at. `advice` says what to do where it is not well. */
export interface Finding {
  check: string;
  ok: boolean;
  found: string;
  advice?: string;
}

const run = promisify(execFile);

export function doctorCommand(program: Command): void {
  withCommonOptions(program.command('doctor').description('check everything the program stands on and say what to do')).action(
    async (options: CommonOptions) => {
      const findings = [
        node(),
        machine(),
        await library('onnxruntime-node'),
        await devices(),
        await library('sharp'),
        await temporalCli(),
        ...(await server(options)),
        await store(options),
        await packs(),
        await training(),
      ];
      if (options.json) printJson({ ok: findings.every((f) => f.ok), findings });
      else {
        for (const { check, ok, found, advice } of findings) {
          print(
            `${ok ? pc.green('ok ') : pc.red('no ')} ${check.padEnd(18)} ${found}${advice === undefined ? '' : `\n    ${''.padEnd(18)} ${advice}`}`,
          );
        }
      }
      const wrong = findings.filter((f) => !f.ok);
      if (wrong.length > 0) throw new FoundWrong(`${wrong.length} checks failed: ${wrong.map((f) => f.check).join(', ')}`);
    },
  );
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { check: 'Node.js', ok, found: process.version, ...(ok ? {} : { advice: 'install Node 20.19 or newer' }) };
}

function machine(): Finding {
  return {
    check: 'machine',
    ok: true,
    found: `${process.platform} ${process.arch}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
  };
}

async function library(name: string): Promise<Finding> {
  try {
    // In a process of its own: native code that does not load must not end this one.
    const { stdout } = await run(process.execPath, ['-e', `console.log(Object.keys(require(${JSON.stringify(name)})).length > 0)`], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    return { check: name, ok: stdout.trim() === 'true', found: 'loads' };
  } catch (error) {
    return { check: name, ok: false, found: firstLine(error), advice: 'run `npm run setup` again' };
  }
}

async function devices(): Promise<Finding> {
  const check = 'devices';
  try {
    const found = await findDevices();
    const list = found.map(({ id, what, ready }) => `${id} (${what}${ready ? '' : ', libraries not installed'})`).join(', ');
    const missing = [...new Set(found.filter(({ ready }) => !ready).map(({ provider }) => provider))];
    if (missing.length === 0) return { check, ok: true, found: list };
    return { check, ok: true, found: list, advice: `for ${missing.join(' and ')}: \`npm rebuild onnxruntime-node\` fetches the libraries` };
  } catch (error) {
    return { check, ok: true, found: `could not be asked for: ${firstLine(error)}` };
  }
}

async function temporalCli(): Promise<Finding> {
  const cli = findTemporalCli();
  if (!cli)
    return {
      check: 'Temporal CLI',
      ok: false,
      found: 'not found',
      advice: 'run `npm run setup`, or install `temporal`, or set TEMPORAL_ADDRESS',
    };
  try {
    const { stdout } = await run(cli.path, ['--version']);
    return { check: 'Temporal CLI', ok: true, found: `${stdout.trim()} (${cli.source})` };
  } catch (error) {
    return { check: 'Temporal CLI', ok: false, found: `${cli.path}: ${firstLine(error)}`, advice: 'run `npm run setup` again' };
  }
}

async function server(options: CommonOptions): Promise<Finding[]> {
  const settings = await findServer({ ...options, storeUri: storeOf(options) });
  const check = 'Temporal server';
  if (!settings) return [{ check, ok: true, found: 'none named; `run` and `demo` start one of their own' }];
  try {
    const { client, close } = await connect(settings);
    try {
      const { namespace } = settings;
      const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
      const missing = Object.keys(SEARCH_ATTRIBUTES).filter((name) => !(name in customAttributes));
      const attributes =
        missing.length === 0
          ? 'search attributes registered'
          : `search attributes come with the first orchestrator worker (${missing.join(', ')})`;
      const found = `${settings.connectionOptions.address}, namespace ${namespace}; ${attributes}`;
      return [{ check, ok: true, found }, await workers(client), await fairQueues(client)];
    } finally {
      await close();
    }
  } catch (error) {
    if (settings.source === 'embedded')
      return [{ check, ok: true, found: 'the embedded one of this store is not up; `run` starts it again' }];
    return [{ check, ok: false, found: firstLine(error), advice: 'start it, or unset TEMPORAL_ADDRESS and one is started for you' }];
  }
}

async function workers(client: Client): Promise<Finding> {
  const check = 'gpu workers';
  const found = await gpuWorkers(client);
  const list = found.map(({ identity, roles }) => (roles.length === DEVICE_ROLES.length ? identity : `${identity} (${roles.join(', ')})`));
  return { check, ok: true, found: list.length === 0 ? 'none has polled of late' : list.join('; ') };
}

async function fairQueues(client: Client): Promise<Finding> {
  const check = 'fair queues';
  try {
    if (await servesInTurn(client)) return { check, ok: true, found: 'runs that share a queue are served in turn' };
  } catch (error) {
    return { check, ok: true, found: `could not be tried: ${firstLine(error)}` };
  }
  const settings = Object.entries(FAIR_QUEUES).map(([name, value]) => `${name}=${value}`);
  const advice = `for runs to share a queue in turn, set in the server's dynamic configuration: ${settings.join(', ')}`;
  return { check, ok: true, found: 'a run on a shared queue waits for all that came before it', advice };
}

async function store(options: CommonOptions): Promise<Finding> {
  const uri = storeOf(options);
  try {
    if (uri.startsWith('file:')) {
      const folder = fileURLToPath(uri);
      await makeFolder(folder);
      await access(folder, constants.W_OK);
    } else {
      const { objects } = await openStore(uri);
      const probe = `.refineloop/doctor-${process.pid}`;
      await objects.put(probe, Buffer.from('can be written'));
      await objects.delete(probe);
    }
    return { check: 'store', ok: true, found: `${uri} can be written` };
  } catch (error) {
    return { check: 'store', ok: false, found: firstLine(error), advice: 'make it writable, or name another store with --store' };
  }
}

async function packs(): Promise<Finding> {
  const folder = BUNDLED_PACKS;
  try {
    const names = await readdir(folder);
    for (const name of names) {
      for (const model of (await readdir(join(folder, name), { withFileTypes: true })).filter((entry) => entry.isDirectory()))
        await verifyPack(join(folder, name, model.name));
    }
    return {
      check: 'model packs',
      ok: names.length > 0,
      found: names.length > 0 ? `${names.join(', ')}: every file as its pack.json says` : `none in ${folder}`,
    };
  } catch (error) {
    return { check: 'model packs', ok: false, found: firstLine(error), advice: 'fetch the files of the pack again' };
  }
}

async function training(): Promise<Finding> {
  const check = 'training';
  try {
    await trainerProgram(process.env['REFINELOOP_TRAINER']);
    const python = process.env['REFINELOOP_PYTHON'] ?? (await findTrainerPython());
    if (python) return { check, ok: true, found: `Python ${python}` };
    return { check, ok: true, found: 'its Python environment comes with the first `train` (6 GB, one to three minutes)' };
  } catch (error) {
    return {
      check,
      ok: false,
      found: firstLine(error),
      advice: 'install the program again, or set REFINELOOP_TRAINER to where its folder is',
    };
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0] ?? '';
}
