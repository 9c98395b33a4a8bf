/** Trainings by the command line, on a real server, with a real program: to the end, recorded, suspended, refused. */
import { jest } from '@jest/globals';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPack } from '../../engine/inference/index.js';
import { artifactKey, openStore, readFolder } from '../../engine/storage/index.js';
import type { TrainingStatus } from '../../app/client/training-status.js';
import { cli, cliJson, scratch, startCli } from '../support/cli.js';
import { processesNaming, until } from '../support/processes.js';
import { PACK, writeRecipe } from '../support/small-recipe.js';
import { TRAINER, writeFeedbackSet, writeTraining } from '../support/small-training.js';

jest.setTimeout(240_000);

interface TrainDocument extends TrainingStatus {
  out: string | null;
  arm: { name: string; feedback: Record<string, string> } | null;
}

test('a training runs to its end with nothing else given, and its pack is what a recipe can name', async () => {
  const folder = scratch();
  const recipe = writeTraining(folder);
  const items = writeFeedbackSet(join(folder, 'feedback'));
  const done = await cliJson<TrainDocument>(['train', recipe, ...TRAINER]);
  expect(done).toMatchObject({ state: 'completed', chosen: 0, failure: null, cells: [{ state: 'trained', step: 40 }] });
  expect(done.arm).toMatchObject({ name: 'letters', feedback: { source: 'opt', model: join(folder, 'pack/opt') } });

  const pack = join(folder, 'pack');
  expect((await cli(['models', 'verify', pack])).code).toBe(0);
  const { models } = await loadPack(pack);
  expect(models['opt']).toMatchObject({
    kind: 'causal-lm',
    trainedOn: { digests: expect.arrayContaining(items) },
    measured: { trainLoss: expect.any(Number), validationLoss: expect.any(Number) },
    lineage: {
      training: done.trainingId,
      code: expect.stringMatching(/^sha256:/),
      parameters: { learningRate: 0.5, lora: { r: 4, alpha: 8 } },
    },
  });
  expect(readFileSync(join(pack, 'README.md'), 'utf8')).toMatch(/\| untuned\.validationLoss \| 3\.\d+ \|/);
  expect(readFileSync(join(pack, 'curve.svg'), 'utf8')).toMatch(/^<svg .*xmlns=/);
  writeFileSync(join(pack, 'notes-of-mine.txt'), 'mine');
  expect(await cli(['train', recipe, ...TRAINER])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/pack of letters and also notes-of-mine\.txt, which would be lost/),
  });
  rmSync(join(pack, 'notes-of-mine.txt'));

  const store = await openStore(join(folder, 'runs'));
  const result = (await store.training(done.trainingId).readResult())!;
  const curve = Buffer.from(await store.getArtifact(result.curve)).toString('utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { step: number; loss?: number }); // prettier-ignore
  expect(curve.filter((point) => point.loss !== undefined).map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect(curve[0]!.loss).toBeGreaterThan(curve.findLast((point) => point.loss !== undefined)!.loss!);
  expect(processesNaming(done.trainingId)).toEqual([]);

  // The same once more is free: neither server nor program are started.
  const again = await cli(['train', recipe, '--trainer', TRAINER[1]!, '--python', '/there/is/none']);
  expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('has ended already') });

  // What is lost of its result is made again.
  const [first] = await readFolder(store.artifacts, result.pack);
  await store.objects.delete(artifactKey(first!.parts[0]!));
  rmSync(pack, { recursive: true });
  expect(await cliJson<TrainDocument>(['train', recipe, ...TRAINER])).toMatchObject({ state: 'completed', cells: [{ step: 40 }] });
  expect((await cli(['models', 'verify', pack])).code).toBe(0);
});

test('Ctrl-C suspends an embedded training, and the same command goes on with it', async () => {
  const folder = scratch();
  const recipe = writeTraining(folder, { maxSteps: 40, training: { checkpoint_steps: 1000 } });
  const interrupted = startCli(['train', recipe, '--id', 'halved', ...TRAINER], { env: { SMALL_TRAINER_STEP_SECONDS: '0.3' } });
  const files = (await openStore(join(folder, 'runs'))).training('halved');
  await until('it trains', async () => ((await files.readProgress(0))?.step ?? 0) > 3);
  interrupted.signal('SIGINT');
  expect(await interrupted.ended).toMatchObject({ code: 130, stderr: expect.stringContaining('The same command goes on with it') });
  expect(processesNaming('small-trainer/train.py')).toEqual([]);
  expect(await cliJson<TrainDocument>(['status', 'halved', '--store', join(folder, 'runs')])).toMatchObject({
    state: 'running',
    source: 'store',
  });
  const done = await cliJson<TrainDocument>(['train', recipe, '--id', 'halved', ...TRAINER]);
  expect(done).toMatchObject({ state: 'completed', cells: [{ step: 40 }] });
  expect((await files.readProgress(0))!.resumedFrom).toBeGreaterThan(3);
});

describe('what cannot be trained is refused before anything is started', () => {
  const refused = async (more: Record<string, unknown>, ...args: string[]) => {
    const recipe = writeTraining(scratch(), { more });
    return cli(['train', recipe, ...TRAINER, ...args]);
  };

  test('a misspelt key, a value and what does not go together, each with file, line and field', async () => {
    const { code, stderr } = await refused({ lora: { rank: 4 }, training: { learning_rate: '1e-4', device: 'gpu' } });
    expect(code).toBe(2);
    expect(stderr).toMatch(/training\.yaml:\d+: lora\.rank: unknown key; known here: r, alpha, dropout, target_modules/);
    expect(stderr).toMatch(/training\.yaml:\d+: training\.learning_rate: expected a number.*got text "1e-4"; remove the quotes/);
    expect(stderr).toMatch(/training\.yaml:\d+: training\.device: expected `cpu` or `cuda:0`.*got text "gpu"/);
    const together = await refused({
      data: { run: 'a', feedback_set: './feedback' },
      model: { source: 'blip2', base: './b', image: 'soft' },
    });
    expect(together).toMatchObject({ code: 2, stderr: expect.stringMatching(/data\.feedback_set: give either run or feedback_set/) });
    expect(together.stderr).toMatch(/model\.image: is of `opt`/);
    const grid = await refused({}, '--set', 'grid.lora.r=[0]');
    expect(grid).toMatchObject({ code: 2, stderr: expect.stringMatching(/--set grid\.lora\.r=\[0\]: grid\.lora\.r\[0\]: expected/) });
    const turned = await refused({}, '--set', 'model.prompt=See {image} of {caption}.');
    expect(turned).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/model\.prompt: must hold `{caption}` and then `{image}`, each once/),
    });
  });

  test('a base, a feedback set and a folder for the pack that are none', async () => {
    const nowhere = { model: { source: 'opt', base: './nowhere', image_encoder: join(PACK, 'vit-mae') } };
    expect((await refused(nowhere)).stderr).toMatch(/training\.yaml:8: model\.base: there is no folder .*nowhere$/m);
    const run = await refused({ data: { run: 'none' } });
    expect(run).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/training\.yaml:4: data\.run: there is no run none in .*; known runs: none$/m),
    });
    const python = await cli(['train', writeTraining(scratch()), ...TRAINER.slice(0, 2), '--python', './no-python']);
    expect(python).toMatchObject({ code: 2, stderr: expect.stringContaining('./no-python is no Python that can be run here') });
    const exported = await refused({}, '--set', `model.base=${join(PACK, 'opt')}`);
    expect(exported).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/model\.base: .*opt has no weights as transformers saves them/),
    });
    const set = await refused({ data: { feedback_set: './other' } });
    expect(set).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/data\.feedback_set: .*feedback-set\.json is missing: expected a feedback set as/),
    });
    const full = await refused({ out: '.' });
    expect(full).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty and holds no pack of an earlier training') });
  });

  test('another recipe under an id that is taken, be it by a run or, for a run, by a training; where no server answers none is taken', async () => {
    const folder = scratch();
    const away = ['--address', '127.0.0.1:1', ...TRAINER];
    expect((await cli(['train', writeTraining(folder, { maxSteps: 2 }), '--id', 'taken', ...away])).code).toBe(4);
    const store = await openStore(join(folder, 'runs'));
    await store.run('a-run').createManifest({} as never);
    expect(await cli(['train', writeTraining(folder), '--id', 'a-run', ...away])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('a-run is a run of this store'),
    });
    await cliJson(['train', writeTraining(folder, { maxSteps: 3 }), '--id', 'taken', ...TRAINER]);
    const other = await cli(['train', writeTraining(folder, { maxSteps: 4 }), '--id', 'taken', ...TRAINER]);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already with another recipe') });
    expect(await cli(['run', writeRecipe(folder), '--run', 'taken', '--store', join(folder, 'runs'), ...away.slice(0, 2)])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('taken is a training of this store; give the run another id with --run'),
    });
  });
});

test('data that the program refuses ends the training with its words and exit code 2', async () => {
  const folder = scratch();
  const recipe = writeTraining(folder, { maxSteps: 3 });
  const row = readFileSync(join(folder, 'feedback/train/metadata.jsonl'), 'utf8').split('\n')[2]!;
  rmSync(join(folder, 'feedback/train', (JSON.parse(row) as { file_name: string }).file_name));
  const { code, stdout } = await cli(['train', recipe, ...TRAINER]);
  expect(code).toBe(2);
  const store = await openStore(join(folder, 'runs'));
  expect(await store.training((await store.listTrainings())[0]!).readProgress(0)).toMatchObject({ state: 'failed' });
  expect(stdout).toMatch(/failed +InvalidInput: \.\/feedback\/train\/metadata\.jsonl:3: file_name: there is no/);
});
