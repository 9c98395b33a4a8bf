/** A training recipe that is quick: feedback on the bundled drawings, and a small training program that takes the same configuration as the real one. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { digestOf, canonicalJson } from '../../core/content-hash.js';
import { CREATURES, PACK } from './small-recipe.js';
import { ROOT } from './cli.js';

/** What a worker is told to train with. */
export const TRAINER = ['--trainer', join(ROOT, 'test/support/small-trainer'), '--python', 'python3'];

const sha256 = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A feedback set of the drawings themselves, in the layout of `export --as feedback-set`. Returns the digests of its items. */
export function writeFeedbackSet(folder: string, { train = 12, validation = 4 } = {}): string[] {
  const lines = readFileSync(join(CREATURES, 'train/metadata.jsonl'), 'utf8').split('\n').filter(Boolean).slice(0, train + validation); // prettier-ignore
  const rows = lines.map((line, i) => {
    const { file_name: name, id, text, feedback } = JSON.parse(line) as { file_name: string; id: string; text: string; feedback: string[] };
    const split = i < train ? 'train' : 'validation';
    mkdirSync(join(folder, split), { recursive: true });
    copyFileSync(join(CREATURES, 'train', name), join(folder, split, name));
    const image = sha256(readFileSync(join(CREATURES, 'train', name)));
    return {
      split,
      row: {
        file_name: name,
        id,
        caption: text,
        feedback: feedback[0],
        round: 0,
        arm: 'written',
        image,
        itemDigest: image,
        prompt: text,
        seed: i,
      },
    };
  });
  for (const split of ['train', 'validation']) {
    const own = rows.filter((row) => row.split === split).map(({ row }) => `${JSON.stringify(row)}\n`);
    writeFileSync(join(folder, split, 'metadata.jsonl'), own.join(''));
  }
  const digest = digestOf(canonicalJson(rows.map(({ row }) => row)));
  writeFileSync(
    join(folder, 'feedback-set.json'),
    JSON.stringify({ version: 1, run: 'none', counts: { train, validation }, left: [], digest }),
  );
  return rows.map(({ row }) => row.itemDigest);
}

export interface SmallTraining {
  /** Default 40. */
  maxSteps?: number;
  training?: Record<string, unknown>;
  more?: Record<string, unknown>;
}

/** Writes it, and its feedback set, into a folder and returns its path. JSON is YAML. */
export function writeTraining(folder: string, { maxSteps = 40, training, more }: SmallTraining = {}): string {
  writeFeedbackSet(join(folder, 'feedback'));
  const recipe = {
    name: 'letters',
    data: { feedback_set: './feedback' },
    model: { source: 'opt', base: join(PACK, 'opt-untuned'), image_encoder: join(PACK, 'vit-mae') },
    lora: { r: 4 },
    training: { learning_rate: 0.5, max_steps: maxSteps, batch_size: 4, checkpoint_steps: 5, early_stopping: { patience: 0 }, ...training },
    seed: 7,
    out: './pack',
    ...more,
  };
  const file = join(folder, 'training.yaml');
  writeFileSync(file, JSON.stringify(recipe, null, 2));
  return file;
}
