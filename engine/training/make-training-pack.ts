import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { armSource, gridCells, isTrained, type CellOutcome, type TrainedCell, type TrainingManifest } from '../../core/training.js';
import type { Taught } from '../datasets/index.js';
import { addToPack, checkModelFolder, lossesIn, type ModelKind } from '../inference/index.js';
import type { CurvePoint } from '../storage/training-files.js';
import { curveChart } from './curve-chart.js';

export interface TrainingPackInput {
  manifest: TrainingManifest;
  cells: CellOutcome[];
  chosen: TrainedCell;
  curve: CurvePoint[];
  largestDifference: number;
  /** As measure.py wrote it. */
  measured: Record<string, unknown>;
  /** What it was taught with; validation counts among the items, for the model was chosen by it. */
  taught: Taught;
}

/** What lies in the folder beside the model. */
export const TRAINING_PACK_FILES = ['pack.json', 'README.md', 'curve.svg'] as const;

const MODEL_KIND: Record<TrainingManifest['recipe']['kind'], ModelKind> = { opt: 'causal-lm', 'opt-soft': 'causal-lm', blip2: 'blip2' };

/**
 * Makes a pack of a folder that holds the exported model under `opt/` or `blip2/`: pack.json with lineage, a model card, the curve as a picture.
 * Returns the picture. Throws InvalidInput where the exported model is not whole.
 */
export async function makeTrainingPack(folder: string, input: TrainingPackInput): Promise<string> {
  const { manifest, chosen, curve, cells } = input;
  const { recipe, base, imageEncoder, data, code, software } = manifest;
  const model = join(folder, armSource(recipe.kind));
  const kind = MODEL_KIND[recipe.kind];
  await checkModelFolder(model, kind);
  const lineage = {
    training: manifest.trainingId,
    dataDigest: data.digest,
    // Items without a true image: learned, and in no list.
    itemsNotListed: input.taught.unlisted,
    // A folder's path says nothing elsewhere; its rows are what dataDigest is of.
    from: 'run' in recipe.data ? recipe.data : null,
    base: base.digest,
    imageEncoder: imageEncoder?.digest ?? null,
    code,
    parameters: { kind: recipe.kind, ...gridCells(recipe)[chosen.cell]!.parameters },
    chosenFrom: cells.map((cell) => ({ setting: cell.label, validationLoss: isTrained(cell) ? cell.validationLoss : null })),
  };
  await addToPack([{ folder: model, kind }], {
    licence: base.licence ?? 'unknown',
    madeBy: `refineloop train (${software.name} ${software.version})`,
    trainedOn: [...base.trainedOn, ...input.taught.items],
    trainingFeedback: input.taught.feedback,
    measured: lossesIn(input.measured),
    lineage,
  });
  const picture = curveChart(curve, chosen.bestStep);
  await writeFile(join(folder, 'curve.svg'), picture);
  await writeFile(join(folder, 'README.md'), modelCard(input));
  return picture;
}

function modelCard(input: TrainingPackInput): string {
  const { manifest, cells, chosen, largestDifference, measured } = input;
  const { recipe, data, base } = manifest;
  const row = (cellsOfRow: Array<string | number>) => `| ${cellsOfRow.join(' | ')} |`;
  const from =
    'run' in recipe.data
      ? `run ${recipe.data.run}${recipe.data.arm === null ? '' : `, arm ${recipe.data.arm}`}`
      : 'a feedback set in a folder';
  return [
    ...['---', `license: ${base.licence ?? 'unknown'}`, 'tags: [refineloop, feedback]', '---', ''],
    `# ${recipe.name}`,
    '',
    `Writes feedback on a generated picture from its caption and the picture. Fine-tuned with LoRA from \`${base.digest}\` on ${data.examples.train} examples`,
    `(${from}; ${data.examples.validation} for validation). Items that are listed under \`trainedOn\` in \`pack.json\` stand in no mean of a report.`,
    ...(input.taught.unlisted > 0
      ? [
          `${input.taught.unlisted} more items that it has learned from have no true image: they are not listed, and a report cannot leave them out.`,
        ]
      : []),
    '',
    '![loss by step](curve.svg)',
    '',
    row(['measure', 'value']),
    '|---|---|',
    row(['optimiser steps', chosen.steps]),
    row(['step of the adapter that was kept', chosen.bestStep]),
    row(['training loss', rounded(chosen.trainLoss)]),
    row(['validation loss', rounded(chosen.validationLoss)]),
    row(['largest difference of the exported graph from torch', largestDifference.toExponential(1)]),
    ...numbersIn(measured).map(([name, value]) => row([name, rounded(value)])),
    '',
    ...(cells.length > 1 ? grid(cells, chosen, row) : []),
    'Losses are means over the tokens of the feedback, in nats. The exact parameters are under `lineage` in `pack.json`.',
    '',
  ].join('\n');
}

function grid(cells: CellOutcome[], chosen: TrainedCell, row: (cells: Array<string | number>) => string): string[] {
  return [
    'The setting was chosen by validation loss; no test item had a part in it.',
    '',
    row(['setting', 'validation loss', 'steps', '']),
    '|---|---|---|---|',
    ...cells.map((cell) =>
      isTrained(cell)
        ? row([cell.label, rounded(cell.validationLoss), cell.steps, cell.cell === chosen.cell ? 'chosen' : ''])
        : row([cell.label, 'failed', '', cell.failure.type]),
    ),
    '',
  ];
}

const rounded = (value: number): string => String(Number(value.toPrecision(4)));

/** Numbers of a document with the path that leads to each; lists, such as the texts that were written, are left out. */
function numbersIn(value: unknown, path = ''): Array<[string, number]> {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, field]) => numbersIn(field, path === '' ? name : `${path}.${name}`));
}
