/**
 * The paper's recipe from end to end: small models of the same classes with random weights, in the layouts that docs/paper.md's commands
 * write (models/export/make_paper_models.py runs those very commands), on a dataset in the Hub layout of pokemon-blip-captions.
 */
import { jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { ResultsDocument } from '../../app/report/index.js';
import { cliJson, ROOT, scratch } from '../support/cli.js';
import { writeParquet } from '../support/parquet.js';
import type { RunDocument } from '../support/runs.js';
import { CREATURES, PACK } from '../support/small-recipe.js';
import { python as interpreter, runPython } from '../support/training.js';

jest.setTimeout(600_000);

const ITEMS = 3;

/** Laid out as a checkout is, so that recipes and commands are used as they stand. */
const folder = scratch();
const models = join(folder, 'models/paper');
const dataset = join(folder, 'datasets/pokemon-blip-captions');
const PAPER = 'examples/recipes/paper.yaml';

async function writeDataset(): Promise<void> {
  const rows = readFileSync(join(CREATURES, 'test/metadata.jsonl'), 'utf8').trim().split('\n').slice(0, ITEMS);
  const parsed = rows.map((row) => JSON.parse(row) as { file_name: string; text: string });
  const pictures = await Promise.all(
    parsed.map(async ({ file_name: name, text }) => ({
      image: await sharp(join(CREATURES, 'test', name))
        .jpeg()
        .toBuffer(),
      text,
    })),
  );
  mkdirSync(join(dataset, 'data'), { recursive: true });
  writeFileSync(join(dataset, 'data/train-00000-of-00001-566cc9b19d7203f8.parquet'), writeParquet(pictures));
  // A person's feedback on all but the last.
  const written = pictures.map((row, i) => ({ ...row, feedback: i < ITEMS - 1 ? `It should have ${i + 2} eyes.` : null }));
  mkdirSync(join(folder, 'datasets/pokemon'));
  writeFileSync(join(folder, 'datasets/pokemon/train.parquet'), writeParquet(written));
}

const QUICK = ['--set', 'generator.num_inference_steps=2'];
beforeAll(async () => {
  cpSync(join(ROOT, 'models/reference/goldens/paper-models'), models, { recursive: true });
  cpSync(join(ROOT, 'examples/recipes'), join(folder, 'examples/recipes'), { recursive: true });
  await writeDataset();
});

test('the exported folders are complete', async () => {
  const { models: checked } = await cliJson<{ models: Array<{ folder: string; kind: string; problems: string[] }> }>([
    'models',
    'add',
    models,
  ]);
  expect(checked.flatMap(({ problems }) => problems)).toEqual([]);
  expect(existsSync(join(models, 'pack.json'))).toBe(true);
});

test('the recipe runs to its end, and each arm has what the paper has', async () => {
  const run = await cliJson<RunDocument>(['run', PAPER, ...QUICK], 0, { cwd: folder });
  expect(run).toMatchObject({ state: 'completed', items: { total: ITEMS, done: ITEMS, failed: 0 } });
  const { items } = await cliJson<{
    items: Array<{
      caption: string;
      trueImage: string;
      arms: Array<{ name: string; rounds: Array<{ prompt: string; feedback: string | null }> }>;
    }>;
  }>(['report', run.runId, '--store', `file:${join(folder, 'runs')}`]);
  expect(items).toHaveLength(ITEMS);
  const critics = ['opt', 'blip2'];
  for (const { caption, trueImage, arms } of items) {
    expect(trueImage).toMatch(/^sha256:/);
    expect(arms.map(({ name }) => name)).toEqual(['control', ...critics, ...critics.map((name) => `${name}-placebo`)]);
    for (const { name, rounds } of arms) {
      const [first, second] = rounds;
      expect([first!.prompt, first!.feedback]).toEqual([caption, null]);
      if (name === 'control') expect(second!.prompt).toBe(caption);
      else expect(second!.prompt).toBe(`${caption} ${second!.feedback}`);
    }
  }
});

/** What a machine without a GPU changes of the recipes. Weights that are nearly random say one word over and over, which is no feedback. */
const SMALL: Record<string, string[]> = {
  run: QUICK,
  train: ['training={device: cpu, max_steps: 2, batch_size: 2}', 'data={run: paper-written, validation: 0.34}', 'grid={}'].flatMap(
    (field) => ['--set', field],
  ),
};

test('the commands that tune the critics of the paper, as docs/paper.md has them', async () => {
  const made = await runPython('test/training/tiny_models.py', [PACK, join(folder, 'models/base')]);
  if (made.code !== 0) throw new Error(made.stderr);
  renameSync(join(folder, 'models/base/opt'), join(folder, 'models/base/opt-2.7b'));
  renameSync(join(folder, 'models/base/blip2'), join(folder, 'models/base/blip2-opt-2.7b'));
  const page = readFileSync(join(ROOT, 'docs/paper.md'), 'utf8');
  const commands = [...page.matchAll(/^```sh tuning\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'));
  const said: Array<{ state: string }> = [];
  for (const command of commands) {
    const words = wordsOf(command);
    const tuned = words.includes('paper-tuned')
      ? ['opt-tuned', 'opt-soft', 'blip2-tuned'].flatMap((arm) => ['--set', `arms.${arm}.feedback.no_repeat_ngram_size=1`])
      : [];
    const python = words[0] === 'train' ? ['--python', interpreter()] : [];
    said.push(await cliJson([...words, ...(SMALL[words[0]!] ?? []), ...python, ...tuned], 0, { cwd: folder }));
  }
  expect(said.map(({ state }) => state)).toEqual(Array<string>(6).fill('completed'));
  const report = await cliJson<ResultsDocument>(['report', 'paper-tuned', '--store', join(folder, 'runs')]);
  expect(report.excluded).toHaveLength(ITEMS - 1);
});

/** As a shell would hand them to the command. */
function wordsOf(command: string): string[] {
  const words = execFileSync('bash', ['-c', `npx() { shift; printf '%s\\0' "$@"; }\n${command}`], { encoding: 'utf8' });
  return words.split('\0').slice(0, -1);
}
