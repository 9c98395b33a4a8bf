/**
 * The paper's recipe from end to end: small models of the same classes with random weights, in the layouts that docs/paper.md's commands
 * write (models/export/make_paper_models.py runs those very commands), on a dataset in the Hub layout of pokemon-blip-captions.
 */
import { jest } from '@jest/globals';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { parse, stringify } from 'yaml';
import { cliJson, ROOT, scratch } from '../support/cli.js';
import { writeParquet } from '../support/parquet.js';
import type { RunDocument } from '../support/runs.js';
import { CREATURES, PACK } from '../support/small-recipe.js';

jest.setTimeout(240_000);

/** Sources, tokenizers and encoders of the recipe that come with other changes: false leaves out what needs them. */
const ALL_THERE = true;
const ITEMS = 3;

const folder = scratch();
const models = join(folder, 'models');
const dataset = join(folder, 'pokemon-blip-captions');

interface PaperRecipe {
  arms: Array<{ name: string; feedback?: { source: string; from?: string } }>;
  scores: Record<string, unknown>;
}

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
}

function writeRecipe(): string {
  const text = readFileSync(join(ROOT, 'examples/recipes/paper.yaml'), 'utf8')
    .replaceAll('../../models/paper', models)
    .replaceAll('../../datasets/pokemon-blip-captions', dataset)
    .replaceAll('file:../../runs', `file:${join(folder, 'runs')}`);
  const recipe = parse(text) as PaperRecipe;
  if (!ALL_THERE) {
    recipe.arms = recipe.arms.filter(({ feedback }) => feedback?.source !== 'blip2' && feedback?.from !== 'blip2');
    recipe.scores = { ...recipe.scores, primary: 'ssim', report: ['psnr'] };
    cpSync(join(PACK, 'diffusion/tokenizer/tokenizer.json'), join(models, 'stable-diffusion/tokenizer/tokenizer.json'));
  }
  const file = join(folder, 'paper.yaml');
  writeFileSync(file, stringify(recipe));
  return file;
}

const QUICK = ['--set', 'generator.num_inference_steps=2'];
let recipe: string;
beforeAll(async () => {
  cpSync(join(ROOT, 'models/reference/goldens/paper-models'), models, { recursive: true });
  await writeDataset();
  recipe = writeRecipe();
});

test('the exported folders are complete', async () => {
  const { models: checked } = await cliJson<{ models: Array<{ folder: string; kind: string; problems: string[] }> }>([
    'models',
    'add',
    ...(ALL_THERE ? [models] : [join(models, 'stable-diffusion')]),
  ]);
  expect(checked.flatMap(({ problems }) => problems)).toEqual([]);
  expect(existsSync(join(models, 'pack.json'))).toBe(true);
});

test('the recipe runs to its end, and each arm has what the paper has', async () => {
  const run = await cliJson<RunDocument>(['run', recipe, ...QUICK]);
  expect(run).toMatchObject({ state: 'completed', items: { total: ITEMS, done: ITEMS, failed: 0 } });
  const { items } = await cliJson<{
    items: Array<{
      caption: string;
      trueImage: string;
      arms: Array<{ name: string; rounds: Array<{ prompt: string; feedback: string | null }> }>;
    }>;
  }>(['report', run.runId, '--store', `file:${join(folder, 'runs')}`]);
  expect(items).toHaveLength(ITEMS);
  const critics = ALL_THERE ? ['opt', 'blip2'] : ['opt'];
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
