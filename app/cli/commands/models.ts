import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option, type Command } from 'commander';
import { InvalidInput } from '../../../core/errors.js';
import type { Digest } from '../../../core/types.js';
import { datasetUri, loadImage, readDataset, readTaught } from '../../../engine/datasets/index.js';
import {
  addToPack,
  checkModels,
  isPack,
  isWhole,
  loadPack,
  MODEL_KINDS,
  packProblems,
  type CheckedModel,
  type ModelKind,
  type PackClaims,
} from '../../../engine/inference/index.js';
import { digestOfBytes } from '../../../engine/storage/index.js';
import { recipeSchema } from '../../recipe/index.js';
import { shown } from '../context.js';
import { FoundWrong } from '../exit-codes.js';
import { note, print, printJson, table } from '../output.js';

/** The packs that come with the program. */
export const BUNDLED_PACKS = fileURLToPath(new URL('../../../../models/packs', import.meta.url));

interface Options {
  json?: boolean;
}
type AddOptions = Options & { kind?: ModelKind; licence?: string; madeBy?: string; trainedOn?: string; split?: string };

export function modelsCommands(program: Command): void {
  const models = program.command('models').description('packs of models: folders with a pack.json that says what is in them');
  const command = (name: string, description: string) =>
    models.command(name).description(description).option('--json', 'one JSON document on stdout; everything else on stderr');
  command('list', 'packs and their models, with kinds, licences and sizes')
    .argument('[path...]', 'packs, or folders that hold packs (default: the bundled ones and ./models)')
    .action(list);
  command('verify', 'read every file of packs again and compare it with its digest')
    .argument('[path...]', 'packs, or folders that hold packs (default: the bundled ones and ./models)')
    .action(verify);
  command(
    'add',
    'check that a model folder, or each model in a folder, is complete, and write those that are into the pack.json beside them',
  )
    .argument('<path>', 'a model folder, or a folder that holds model folders')
    .addOption(new Option('--kind <kind>', 'what the model is, where its folder does not tell').choices(MODEL_KINDS))
    .option('--licence <id>', 'SPDX identifier (default: what the model card says)')
    .option('--made-by <text>', 'how it was made, such as the export command')
    .option('--trained-on <dataset>', 'pictures, or the feedback set, that it was trained on: those items are left out of every mean')
    .option('--split <name>', 'split of that dataset')
    .action(add);
}

async function list(paths: string[], { json }: Options): Promise<void> {
  const packs = await Promise.all(
    (await findPacks(paths)).map(async (folder) => {
      const { name, version, licence, models } = await loadPack(folder);
      return {
        name,
        version,
        licence,
        folder,
        models: Object.entries(models).map(([model, entry]) => ({
          name: model,
          kind: entry.kind,
          folder: resolve(folder, entry.path),
          precision: entry.precision ?? null,
          licence: entry.licence ?? licence,
          madeBy: entry.madeBy ?? null,
          bytes: entry.files.reduce((sum, { bytes }) => sum + bytes, 0),
          trainedOn: entry.trainedOn.digests.length,
        })),
      };
    }),
  );
  if (json) return printJson(packs);
  if (packs.length === 0) return print('no packs; `refineloop models add PATH` makes one of model folders');
  for (const { name, version, licence, folder, models } of packs) {
    print(`${name} ${version}, ${licence}, in ${shown(folder)}`);
    const rows = models.map((m) => [m.name, m.kind, `${(m.bytes / 2 ** 20).toFixed(1)} MiB`, m.licence, m.madeBy]);
    print(`${table(['model', 'kind', 'size', 'licence', 'made by'], rows)}\n`);
  }
}

async function verify(paths: string[], { json }: Options): Promise<void> {
  const packs = [];
  for (const folder of await findPacks(paths)) {
    const { name, models } = await loadPack(folder);
    const checked = [];
    for (const [model, entry] of Object.entries(models)) {
      checked.push({ name: model, files: entry.files.length, problems: await packProblems(resolve(folder, entry.path), entry) });
    }
    packs.push({ name, folder, models: checked });
  }
  if (packs.length === 0) throw new InvalidInput(`there is no pack in ${paths.join(', ') || 'the usual places'}; name one`);
  if (json) printJson(packs);
  const wrong: string[] = [];
  for (const { name, models } of packs) {
    for (const { name: model, files, problems } of models) {
      if (!json) print(`${name} ${model}: ${problems.length === 0 ? `${files} files as pack.json says` : problems.join('; ')}`);
      if (problems.length > 0) wrong.push(`${name} ${model}`);
    }
  }
  if (wrong.length > 0) throw new FoundWrong(`not as their pack.json says: ${wrong.join(', ')}`);
}

async function add(path: string, options: AddOptions): Promise<void> {
  const models = await checkModels(path, options.kind);
  const { kind: _, trainedOn, split, json, ...claims } = options;
  const seen = trainedOn === undefined ? { trainedOn: [] } : await seenIn(trainedOn, split);
  const whole = models.filter(isWhole);
  const added = whole.length > 0 ? await addToPack(whole, { ...claims, ...seen }) : null;
  const file = added && join(added.folder, 'pack.json');
  if (json) printJson({ pack: file, models });
  else {
    for (const model of whole) print(`${shown(model.folder)}: ${model.kind}, complete`);
    if (file) print(`written: ${shown(file)}; a recipe names the model's folder`);
  }
  for (const { folder, notes } of whole) notes.forEach((told) => note(`${shown(folder)}: ${told}`));
  // What a training begins with is no fault beside models that can be run.
  const isBase = ({ unexported }: CheckedModel) => unexported && whole.length > 0;
  const others = models.filter((model) => !isWhole(model));
  for (const { folder, command } of others.filter(isBase))
    note(`${shown(folder)}: weights for training, not a model to run; exported by: ${command}`);
  const left = others.filter((model) => !isBase(model));
  for (const { folder, kind, problems, command } of left) {
    note(`${shown(folder)} is no complete ${kind === null ? 'model of a known kind' : `${kind} model`}:`);
    problems.forEach((problem) => note(`  ${problem}`));
    if (command) note(`  made by: ${command}`);
  }
  if (left.length === 0) return;
  const names = left.map(({ folder }) => shown(folder)).join(', ');
  throw new FoundWrong(added ? `left out: ${names}` : `nothing was written: ${names} cannot be used`);
}

/** What models saw that a dataset or a feedback set taught. */
async function seenIn(uri: string, split: string | undefined): Promise<Pick<PackClaims, 'trainedOn' | 'trainingFeedback'>> {
  await stat(fileURLToPath(datasetUri(uri, process.cwd()))).catch((error: Error) => {
    throw new InvalidInput(`--trained-on ${uri} cannot be read: name a dataset or a feedback set (${error.message})`);
  });
  const taught = await readTaught(resolve(uri));
  return taught ? { trainedOn: taught.items, trainingFeedback: taught.feedback } : { trainedOn: await picturesOf(uri, split) };
}

/** Digests of a dataset's pictures, as the store will name them. */
async function picturesOf(uri: string, split: string | undefined): Promise<Digest[]> {
  const { entries } = await readDataset(uri, recipeSchema.shape.dataset.parse({ uri, split }), process.cwd());
  const digests: Digest[] = [];
  for (const entry of entries) {
    const source = entry.kind === 'row' ? entry.row.image : null;
    const image = source === null ? null : await loadImage(source);
    if (image?.ok) digests.push(digestOfBytes(image.bytes));
  }
  if (digests.length === 0) throw new InvalidInput(`--trained-on ${uri}: it has no pictures that can be read`);
  return digests;
}

/** Folders with a pack.json at the paths or one or two levels below. */
async function findPacks(paths: string[]): Promise<string[]> {
  const found = new Set<string>();
  const look = async (folder: string, depth: number): Promise<void> => {
    if (await isPack(folder)) found.add(folder);
    else if (depth > 0) {
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        if (entry.isDirectory() && !entry.name.startsWith('.')) await look(join(folder, entry.name), depth - 1);
      }
    }
  };
  for (const path of paths.length > 0 ? paths : [BUNDLED_PACKS, 'models']) await look(resolve(path), 2);
  return [...found].sort();
}
