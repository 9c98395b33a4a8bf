/** What cannot work is refused before anything starts: with the right exit code, by name, and leaving nothing behind. */
import { claimRun, loadRecipe, prepareRun } from '../../app/client/index.js';
import { storeUri } from '../../engine/storage/index.js';
import { jest } from '@jest/globals';
import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { cli, scratch } from '../support/cli.js';
import { processesNaming } from '../support/processes.js';
import { CREATURES, PACK, writeRecipe } from '../support/small-recipe.js';

jest.setTimeout(60_000);

const folder = scratch();
const store = join(folder, 'store');
const recipe = writeRecipe(folder);

async function refusal(args: string[], code: number): Promise<string> {
  const result = await cli(args);
  expect({ code: result.code, output: result.stderr }).toEqual({ code, output: expect.not.stringMatching(/\n\s+at /) });
  expect(processesNaming(store)).toEqual([]);
  return result.stderr;
}

const run = (file: string, ...args: string[]) => ['run', file, '--store', store, ...args];

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

afterEach(() => {
  expect(existsSync(join(store, '.refineloop/server.json'))).toBe(false);
});

describe('recipes, exit code 2', () => {
  const yaml = (lines: string[]) =>
    [
      `name: x`,
      `dataset: { uri: ${CREATURES}, split: test, limit: 1 }`,
      `generator: { model: ${join(PACK, 'diffusion')} }`,
      `arms: [{ name: control }]`,
      ...lines,
    ].join('\n');

  test('a misspelt key names file, line and the key that was meant', async () => {
    const path = file('misspelt.yaml', yaml(['seed: 7', 'ruonds: 2']));
    const said = await refusal(run(path), 2);
    expect(said).toContain(`${path}:6`);
    expect(said).toMatch(/ruonds.*rounds/s);
  });

  test('a wrong type names file, line and field', async () => {
    const path = file('type.yaml', yaml(['rounds: many']));
    const said = await refusal(run(path), 2);
    expect(said).toContain(`${path}:5`);
    expect(said).toContain('rounds');
  });

  test('a wrong --set names the option', async () => {
    expect(await refusal(run(recipe, '--set', 'generator.num_inference_stepz=2'), 2)).toMatch(/num_inference_stepz.*num_inference_steps/s);
  });

  test('a recipe that is not there, or is no YAML', async () => {
    expect(await refusal(run(join(folder, 'nowhere.yaml')), 2)).toContain(join(folder, 'nowhere.yaml'));
    const broken = file('broken.yaml', 'name: x\narms: [\n');
    expect(await refusal(run(broken), 2)).toMatch(/broken\.yaml:\d+/);
  });

  test('a dataset that is not there', async () => {
    const nowhere = join(folder, 'no-dataset');
    expect(await refusal(run(recipe, '--set', `dataset.uri=${nowhere}`), 2)).toContain(nowhere);
  });

  test('a column that the dataset lacks', async () => {
    expect(await refusal(run(recipe, '--set', 'dataset.columns.caption=title'), 2)).toContain('title');
  });

  test('a run id that cannot be one', async () => {
    expect(await refusal(run(recipe, '--run', '../up'), 2)).toContain('../up');
  });
});

describe('models, exit code 2', () => {
  const pack = join(folder, 'pack');
  const unet = join(pack, 'diffusion/unet/model.onnx');
  beforeEach(() => cpSync(PACK, pack, { recursive: true }));
  afterEach(() => rmSync(pack, { recursive: true }));
  const own = () => run(recipe, '--set', `generator.model=${join(pack, 'diffusion')}`);

  test('a folder that is not there', async () => {
    expect(await refusal(run(recipe, '--set', `generator.model=${join(folder, 'no-model')}`), 2)).toContain(join(folder, 'no-model'));
  });

  test('a missing file', async () => {
    rmSync(unet);
    const said = await refusal(own(), 2);
    expect(said).toContain(join(pack, 'diffusion'));
    expect(said).toContain('unet/model.onnx');
  });

  test('a file that is cut off, and one with a flipped byte', async () => {
    const sound = readFileSync(unet);
    truncateSync(unet, sound.length >> 1);
    expect(await refusal(own(), 2)).toContain('unet/model.onnx');
    const spoilt = Buffer.from(sound);
    spoilt[sound.length >> 1]! ^= 1;
    writeFileSync(unet, spoilt);
    expect(await refusal(own(), 2)).toContain('unet/model.onnx');
  });
});

describe('what a generator cannot do, exit code 2', () => {
  test('a size that its UNet cannot halve, and an edit that its scheduler cannot begin', async () => {
    expect(await refusal(run(recipe, '--set', 'generator.height=72'), 2)).toMatch(/generator: height must be a positive multiple of 16/);
    const arms = [{ name: 'control' }, { name: 'edited', feedback: { source: 'dataset' }, oracle: true, strength: 0.5 }];
    const edits = [
      '--set',
      'generator.scheduler=pndm',
      '--set',
      'generator.num_inference_steps=10',
      '--set',
      `arms=${JSON.stringify(arms)}`,
    ];
    expect(await refusal(run(recipe, ...edits), 2)).toMatch(/generator: pndm without skip_prk_steps cannot begin later/);
  });
});

describe('servers', () => {
  // A run that was begun on a server which is gone.
  beforeAll(async () => {
    const prepared = await prepareRun({ ...(await loadRecipe(recipe)), storeUri: storeUri(store, '/') }, 'dead');
    await claimRun(prepared);
  });

  test('--detach without a server names `dev`, exit code 2', async () => {
    expect(await refusal(run(recipe, '--detach'), 2)).toContain('refineloop dev');
  });

  test('an address where nobody answers: exit code 4 for run, steer and worker', async () => {
    const dead = '127.0.0.1:1';
    expect(await refusal(run(recipe, '--run', 'ghost', '--address', dead), 4)).toContain(dead);
    // What never started leaves no run behind.
    expect(await refusal(['status', 'ghost', '--store', store], 2)).toContain('no run ghost');
    expect(await refusal(['pause', 'dead', '--store', store, '--address', dead], 4)).toContain(dead);
    expect(await refusal(['worker', '--queue', 'cpu', '--address', dead], 4)).toContain(dead);
  });

  test('status still reads the store then', async () => {
    const { code, stdout, stderr } = await cli(['status', 'dead', '--store', store, '--address', '127.0.0.1:1', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ runId: 'dead', state: 'starting', source: 'store' });
    expect(stderr).toContain('Reading the store alone');
  });

  test('steering without any server says how to get one', async () => {
    expect(await refusal(['pause', 'dead', '--store', store], 4)).toContain('refineloop dev');
  });

  test.each(['--port', '--ui-port', '--web-port'])('%s in use, exit code 4', async (option) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = taken.address() as AddressInfo;
      const said = await refusal(run(recipe, option, String(port)), 4);
      expect(said).toContain(`port ${port} is in use`);
      expect(said).toContain(option);
    } finally {
      taken.close();
    }
  });
});

test('a command or option that there is not, exit code 2', async () => {
  expect(await refusal(['rnu'], 2)).toContain('run');
  expect(await refusal(['run', recipe, '--concurency', '2'], 2)).toContain('--concurrency');
  expect(await refusal(['run', recipe, '--concurrency', '0'], 2)).toContain('--concurrency');
});

test('--json says what is wrong as a document, too', async () => {
  const { code, stdout } = await cli(['status', 'nobody', '--store', store, '--json']);
  expect(code).toBe(2);
  expect(JSON.parse(stdout)).toEqual({ error: { type: 'InvalidInput', message: expect.stringContaining('no run nobody') } });
});
