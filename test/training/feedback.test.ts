/**
 * Critics are tuned for real, in small: true classes with random weights, a dozen pictures of the demo dataset, the pack's ViT-MAE. What comes
 * out is run by the inference host.
 */
import { jest } from '@jest/globals';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seedOf } from '../../core/seeds.js';
import { checkModelFolder } from '../../engine/inference/check-model-folder.js';
import { InferenceHost } from '../../engine/inference/inference-host.js';
import { cliJson, scratch } from '../support/cli.js';
import type { RunDocument } from '../support/runs.js';
import { CONTROL, CREATURES, PACK, writeRecipe } from '../support/small-recipe.js';
import { runPython, type TrainerEvent, type TrainerRun } from '../support/training.js';

jest.setTimeout(600_000);

const SEED = 5;
const VIT_MAE = join(PACK, 'vit-mae');
const KINDS = ['opt', 'opt-soft', 'blip2'] as const;
type Kind = (typeof KINDS)[number];
const folder = scratch();
const inFolder = (...path: string[]) => join(folder, ...path);

interface Row {
  file_name: string;
  id: string;
  text: string;
  feedback: string[];
}
const rows = readFileSync(join(CREATURES, 'train/metadata.jsonl'), 'utf8')
  .split('\n', 12)
  .map((line) => JSON.parse(line) as Row);

function writeSplit(set: string, split: string, part: Row[], change: (row: object, i: number) => object = (row) => row): void {
  mkdirSync(inFolder(set, split), { recursive: true });
  const lines = part.map((row, i) => {
    copyFileSync(join(CREATURES, 'train', row.file_name), inFolder(set, split, row.file_name));
    return JSON.stringify(change({ file_name: row.file_name, id: row.id, caption: row.text, feedback: row.feedback[0], round: 0 }, i));
  });
  writeFileSync(inFolder(set, split, 'metadata.jsonl'), `${lines.join('\n')}\n`);
}

/** A configuration's file. 8 rows by 3: an epoch has 3 batches, in steps of 2 and 1. */
function writeConfig(name: string, kind: Kind, more: object = {}): string {
  const config = {
    ...{ kind, base: `base/${kind === 'blip2' ? kind : 'opt'}`, imageEncoder: kind === 'blip2' ? null : VIT_MAE, data: 'set', out: name },
    ...{ learningRate: 0.01, maxSteps: 9, batchSize: 3, gradientAccumulation: 2, checkpointSteps: 2, seed: SEED },
    ...more,
  };
  const file = inFolder(`${name}.json`);
  writeFileSync(file, JSON.stringify(config, null, 2));
  return file;
}

const named = (events: TrainerEvent[], event: string) => events.filter((each) => each.event === event);
const last = ({ events }: TrainerRun) => events.at(-1)!;
const readJson = <T>(...path: string[]) => JSON.parse(readFileSync(inFolder(...path), 'utf8')) as T;

interface Measured {
  validationLoss: number;
  validationLossWithAnotherItemsPicture: number;
  written: { copiedNgrams: Record<string, number>; distinct: Record<string, number> };
  texts: Array<{ id: string; caption: string; own: string; tokens: number[] }>;
}

let runs: Record<Kind, { train: TrainerRun; exported: TrainerRun; measured: TrainerRun }>;

beforeAll(async () => {
  const made = await runPython('test/training/tiny_models.py', [PACK, inFolder('base')]);
  if (made.code !== 0) throw new Error(made.stderr);
  // What ends a line for Python and not in JSON is part of a text.
  writeSplit('set', 'train', rows.slice(0, 8), (row, i) => (i === 0 ? { ...row, caption: 'A thing.\u2028It is red.' } : row));
  writeSplit('set', 'validation', rows.slice(8));
  const whole = await Promise.all(
    KINDS.map(async (kind) => {
      const config = writeConfig(kind, kind);
      const train = await runPython('train.py', [config]);
      return [kind, { train, exported: await runPython('export.py', [config]), measured: await runPython('measure.py', [config]) }];
    }),
  );
  runs = Object.fromEntries(whole) as typeof runs;
});

describe.each(KINDS)('%s', (kind) => {
  test('says each step, learns, and keeps the adapter that was best on items it did not see', () => {
    const { events, code, stderr } = runs[kind].train;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(events[0]).toEqual({ event: 'start', totalSteps: 9, resumedFrom: 0, examples: { train: 8, validation: 4 } });
    const [steps, evals] = [named(events, 'step'), named(events, 'eval')];
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(steps[0]).toMatchObject({ epoch: 2 / 3, learningRate: 0.01 });
    expect(evals.map(({ step }) => step)).toEqual([2, 4, 6, 8, 9]);
    expect(named(events, 'checkpoint').map(({ step }) => step)).toEqual([2, 4, 6, 8]);
    const losses = evals.map(({ loss }) => loss as number);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    const best = evals[losses.indexOf(Math.min(...losses))]!;
    expect(readJson(kind, 'training.json')).toMatchObject({ steps: 9, bestStep: best.step, validationLoss: best.loss });
    expect(existsSync(inFolder(kind, 'adapter', 'adapter_model.safetensors'))).toBe(true);
  });

  test('is exported with what torch computes', async () => {
    const { code, stderr } = runs[kind].exported;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(last(runs[kind].exported)).toMatchObject({ event: 'done', largestDifference: expect.any(Number) });
    expect(last(runs[kind].exported)['largestDifference']).toBeLessThan(1e-4);
    await expect(checkModelFolder(inFolder(kind, 'model'), kind === 'blip2' ? 'blip2' : 'causal-lm')).resolves.toBeUndefined();
  });

  test("is run by the inference host, whose words are torch's", async () => {
    const { texts } = readJson<Measured>(kind, 'measured.json');
    const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
    try {
      for (const { id, caption, own, tokens } of texts) {
        const image = readFileSync(inFolder('set/validation', `${id}.png`));
        const common = { model: inFolder(kind, 'model'), maxNewTokens: 64, sampleSeed: null };
        const features = () =>
          host.imageFeatures({ model: VIT_MAE, image, noiseSeed: seedOf(SEED, id, 0), ...(kind === 'opt-soft' ? { all: true } : {}) });
        const prompt = BLIP2_PROMPT.replace('{caption}', caption);
        const written =
          kind === 'blip2'
            ? await host.answer({ ...common, layout: 'blip2', image, prompt, instructions: prompt })
            : await host.writeFeedback({ ...common, caption, features: await features() });
        expect(written.text).toBe(own);
        expect(written.tokens.used).toBeGreaterThan(tokens.length);
      }
      expect(new Set(texts.map(({ tokens }) => String(tokens))).size).toBeGreaterThan(1);
    } finally {
      await host.close();
    }
  });

  test('is measured: with its picture, with another, and what of its words stood in training', () => {
    const { code, stderr } = runs[kind].measured;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const measured = readJson<Measured>(kind, 'measured.json');
    const { validationLoss: trained } = readJson<{ validationLoss: number }>(kind, 'training.json');
    expect(measured.validationLoss).toBeCloseTo(trained, 2); // half precision
    expect(measured.validationLossWithAnotherItemsPicture).not.toBe(measured.validationLoss);
    expect(Object.keys(measured.written.copiedNgrams)).toEqual(['1', '2', '3', '4']);
    expect(measured.texts.map(({ id }) => id)).toEqual(rows.slice(8).map(({ id }) => id));
  });
});

test('a recipe names a soft prompt as it names any OPT: its pictures are embedded feature by feature', async () => {
  const feedback = { source: 'opt', model: inFolder('opt-soft/model'), image_encoder: VIT_MAE, max_new_tokens: 8, do_sample: true };
  const recipe = writeRecipe(folder, { limit: 1, arms: [CONTROL, { name: 'soft', feedback }] });
  const store = inFolder('store');
  expect(await cliJson<RunDocument>(['run', recipe, '--run', 'soft', '--store', store])).toMatchObject({
    state: 'completed',
    items: { done: 1 },
  });
  const records = readdirSync(join(store, 'steps'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => readFileSync(join(store, 'steps', name), 'utf8'));
  const embedded = records.filter((record) => /"features":\s*"all"/.test(record));
  expect(embedded.map((record) => /"dimensions":\s*(\d+)/.exec(record)?.[1])).toEqual([String(50 * 64)]);
});

const BLIP2_PROMPT =
  "Question: Below is an image generated by a diffusion model based on the caption '{caption}'. What feedback would improve the model output? Answer:";

test('killed three times at odd steps and stopped once: the losses, the adapter and the result of a training that never was', async () => {
  const config = writeConfig('killed', 'opt-soft');
  const said: TrainerEvent[] = [];
  const ends: Array<{ at: number; signal: NodeJS.Signals; code: number | null }> = [
    { at: 1, signal: 'SIGKILL', code: null },
    { at: 3, signal: 'SIGKILL', code: null },
    { at: 5, signal: 'SIGTERM', code: 143 },
    { at: 7, signal: 'SIGKILL', code: null },
  ];
  // A signal arrives a step later or two: no training begins before what was said to be kept.
  const goesOn = (events: TrainerEvent[]) => {
    const kept = named(said, 'checkpoint').at(-1)?.step ?? 0;
    const [first] = events as Array<TrainerEvent & { resumedFrom: number }>;
    expect(first!.resumedFrom).toBeGreaterThanOrEqual(kept);
    expect(first!.resumedFrom).toBeLessThanOrEqual(Math.max(0, ...said.map(({ step }) => step ?? 0)));
  };
  for (const { at, signal, code } of ends) {
    const run = await runPython('train.py', [config], { at, signal });
    expect(run).toMatchObject({ code });
    goesOn(run.events);
    said.push(...run.events);
  }
  expect(named(said, 'checkpoint').length).toBeGreaterThan(0);
  // What a kill leaves half written is no checkpoint, whatever its number.
  mkdirSync(inFolder('killed/checkpoints/checkpoint-8'), { recursive: true });
  writeFileSync(inFolder('killed/checkpoints/checkpoint-8/complete.json'), '{"fingerprint": "');
  const end = await runPython('train.py', [config]);
  goesOn(end.events);
  said.push(...end.events);

  const curve = (events: TrainerEvent[]) =>
    [...new Set(events.filter(({ event }) => event === 'step' || event === 'eval').map((event) => JSON.stringify(event)))].sort();
  // As a set: what was done twice came to the same, to the last bit.
  expect(curve(said)).toEqual(curve(runs['opt-soft'].train.events));
  expect(readJson('killed', 'training.json')).toEqual(readJson('opt-soft', 'training.json'));
  const adapter = (name: string) => readFileSync(inFolder(name, 'adapter', 'adapter_model.safetensors')).toString('base64');
  expect(adapter('killed') === adapter('opt-soft')).toBe(true);

  const again = await runPython('train.py', [config]);
  expect(again.events.map(({ event }) => event)).toEqual(['start', 'done']);
});

test('training ends where the validation loss no longer falls, in bfloat16 and over all words too', async () => {
  const more = { earlyStopping: { patience: 2, minDelta: 100 }, precision: 'bf16', loss: 'all', maxSteps: null, epochs: 50 };
  const { code, events } = await runPython('train.py', [writeConfig('early', 'opt', more)]);
  expect({ code, evals: named(events, 'eval').length }).toEqual({ code: 0, evals: 3 });
  expect(events.at(-1)).toMatchObject({ event: 'done', steps: 6, totalSteps: 100, bestStep: 2, stoppedEarly: true });
});

test.each(KINDS)('%s: activations that are computed again and not kept make the same steps', async (kind) => {
  const { code, events, stderr } = await runPython('train.py', [writeConfig(`again-${kind}`, kind, { gradientCheckpointing: true })]);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const losses = (all: TrainerEvent[]) => named(all, 'step').map(({ loss }) => loss);
  expect(losses(events)).toEqual(losses(runs[kind].train.events));
});

test('a loss over all words is learned by and not judged by; of epochs and steps the fewer are made', async () => {
  const more = { learningRate: 1e-12, epochs: 1, maxSteps: 1000 };
  const [feedback, all] = await Promise.all(
    ['feedback', 'all'].map((loss) => runPython('train.py', [writeConfig(`still-${loss}`, 'opt', { ...more, loss })])),
  );
  for (const { events } of [feedback!, all!]) expect(events[0]).toMatchObject({ totalSteps: 2 });
  expect(named(all!.events, 'step').map(({ step }) => step)).toEqual([1, 2]);
  expect(named(all!.events, 'step')[0]!['loss']).not.toBeCloseTo(named(feedback!.events, 'step')[0]!['loss'] as number, 3);
  expect(named(all!.events, 'eval')[0]!['loss']).toBeCloseTo(named(feedback!.events, 'eval')[0]!['loss'] as number, 5);
});

test('a BLIP-2 learns feedback of several lines as one line; rows of more tokens than arms write are counted', async () => {
  const said = (end: string) => (row: object, i: number) =>
    i === 0 ? { ...row, feedback: `Make it green.${end}Give it ${'two eyes and '.repeat(40)}a tail.` } : row;
  const events = async (name: string, end: string) => {
    for (const [split, part] of [
      ['train', rows.slice(0, 8)],
      ['validation', rows.slice(8)],
    ] as const)
      writeSplit(name, split, part, said(end));
    return (await runPython('train.py', [writeConfig(`${name}-critic`, 'blip2', { maxSteps: 1, data: name })])).events;
  };
  const [lines, line] = [await events('lines', '\n'), await events('line', ' ')];
  expect(line[0]).toMatchObject({ event: 'start', overlong: 2 });
  expect(named(lines, 'eval')[0]!['loss']).toBe(named(line, 'eval')[0]!['loss']);
  expect(line.at(-1)!.event).toBe('done');
});

describe('what cannot be trained is told in one line, with exit 2', () => {
  const refusal = async (config: string) => {
    const { code, events, stderr } = await runPython('train.py', [config]);
    expect({ code, events }).toEqual({ code: 2, events: [] });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    return stderr.trim().replaceAll(`${folder}/`, '');
  };

  test.each<[string, object, string]>([
    ['an unknown field', { learning_rate: 1 }, 'bad.json:13: learning_rate: is not known; meant learningRate?'],
    ['a value of another kind', { learningRate: 'fast' }, 'bad.json:7: learningRate: expected a number above 0, not "fast"'],
    ['a field inside another', { lora: { r: 0 } }, 'bad.json:14: lora.r: expected a whole number above 0, not 0'],
    ['a kind', { kind: 'gpt' }, 'bad.json:2: kind: expected "opt" or "opt-soft" or "blip2", not "gpt"'],
    ['a folder', { base: 'none' }, 'bad.json:3: base: there is no folder none'],
    [
      'an image encoder',
      { imageEncoder: null },
      'bad.json:4: imageEncoder: opt reads pictures through a ViT-MAE; name its folder in imageEncoder',
    ],
    ['a prompt', { prompt: 'What of {caption}?' }, 'bad.json:13: prompt: must hold {caption} and then {image}, each once'],
  ])('%s', async (_, more, expected) => {
    expect(await refusal(writeConfig('bad', 'opt', more))).toBe(expected);
  });

  test("OPT's prompt for a BLIP-2", async () => {
    const prompt = 'What of {caption} and {image}?';
    expect(await refusal(writeConfig('bad', 'blip2', { prompt }))).toMatch(
      /^bad\.json:\d+: prompt: must not hold \{image\}: BLIP-2 has the image before its prompt$/,
    );
  });

  test.each<[string, (row: object, i: number) => object, string]>([
    ['an empty feedback', (row, i) => (i === 1 ? { ...row, feedback: ' ' } : row), ':2: feedback: expected a text that is not empty'],
    [
      'half a character',
      (row, i) => (i === 2 ? { ...row, feedback: 'Red \ud83d' } : row),
      ':3: feedback: holds half of a character (a lone surrogate): write the text again',
    ],
    ['a picture', (row, i) => (i === 2 ? { ...row, file_name: 'no.png' } : row), ':3: file_name: there is no bad-set/validation/no.png'],
    [
      'an item in both splits',
      (row, i) => (i === 3 ? { ...row, id: rows[0]!.id } : row),
      `:4: id: item ${rows[0]!.id} stands in train too (bad-set/train/metadata.jsonl:1); a split shares no item with another`,
    ],
  ])('%s', async (_, change, expected) => {
    writeSplit('bad-set', 'train', rows.slice(0, 8));
    writeSplit('bad-set', 'validation', rows.slice(8), change);
    expect(await refusal(writeConfig('bad', 'opt', { data: 'bad-set' }))).toBe(`bad-set/validation/metadata.jsonl${expected}`);
  });

  test('a file that is not UTF-8, a picture that ends too soon', async () => {
    writeSplit('bad-set', 'train', rows.slice(0, 8));
    writeSplit('bad-set', 'validation', rows.slice(8));
    const [file, picture] = [inFolder('bad-set/validation/metadata.jsonl'), inFolder('bad-set/validation', rows[8]!.file_name)];
    const [lines, bytes] = [readFileSync(file, 'utf8'), readFileSync(picture)];
    writeFileSync(picture, bytes.subarray(0, bytes.length - 40));
    expect(await refusal(writeConfig('bad', 'opt', { data: 'bad-set' }))).toMatch(
      /metadata\.jsonl:1: file_name: .* cannot be read as a picture$/,
    );
    writeFileSync(file, Buffer.from(lines.replace(/\n(.*)"caption":"/, '\n$1"caption":"\u00e9'), 'latin1'));
    expect(await refusal(writeConfig('bad', 'opt', { data: 'bad-set' }))).toMatch(
      /metadata\.jsonl:2: is not UTF-8: save the file again in that encoding$/,
    );
  });

  test('a base of another kind, checkpoints of other settings', async () => {
    expect(await refusal(writeConfig('bad', 'opt', { base: 'base/blip2' }))).toBe(
      'base/blip2/config.json: architectures: opt is tuned from OPTForCausalLM, not Blip2ForConditionalGeneration',
    );
    expect(await refusal(writeConfig('opt', 'opt', { seed: SEED + 1 }))).toMatch(
      /^opt\.json:6: out: opt\/checkpoints\/checkpoint-8 was written with other settings or data: delete the folder or name another$/,
    );
  });
});
