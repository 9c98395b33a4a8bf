import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { orLoss } from '../../engine/storage/index.js';
import { exclusion, folderSink, itemResults, type ItemArmResult, type ItemResult, type ReportInput } from '../report/index.js';

/** `export --json`. */
export interface Exported {
  rows: number;
  /** Items without a row, and why. */
  skipped: Array<{ source: string; reason: string }>;
}

/**
 * Writes what a run made as an image folder in Hugging Face's layout: a picture and a line of metadata.jsonl for each item and arm, in dataset order
 * and the recipe's order of arms. The round is the one that the stop policy returned. `text` is the dataset's caption, `prompt` what the picture was made from,
 * `feedback` a list, one entry a round. Items that are not through are left out and said.
 * @param arm only this one, so that ids are those of the dataset; else `<item>/<arm>`
 * @throws InvalidInput for an arm that the run does not have
 */
export async function exportImageFolder(input: ReportInput, folder: string, arm?: string): Promise<Exported> {
  const { arms } = input.manifest.recipe;
  if (arm !== undefined && !arms.some(({ name }) => name === arm)) {
    throw new InvalidInput(
      `run ${input.manifest.runId} has no arm ${JSON.stringify(arm)}; it has ${arms.map(({ name }) => name).join(', ')}`,
    );
  }
  const sink = folderSink(folder);
  const write = (name: string, content: string | Uint8Array) =>
    sink(name, content).catch((error: Error) => {
      throw new InvalidInput(`${folder} cannot be written: ${error.message}`, { cause: error });
    });
  const exported: Exported = { rows: 0, skipped: [] };
  const lines: string[] = [];
  const items = await itemResults(input);
  const digits = String(items.length).length;
  for (const [position, item] of items.entries()) {
    const wanted = item.arms.filter(({ name }) => arm === undefined || name === arm);
    const made = wanted.filter(({ rounds }) => rounds.length > 0);
    if (made.length === 0 || UNFINISHED.includes(item.state)) {
      exported.skipped.push({ source: item.id, reason: exclusion(item) ?? 'no picture' });
      continue;
    }
    for (const one of made) {
      const picture = await orLoss(input.readBlob(returned(one).image));
      if (picture instanceof StorageUnavailable) {
        exported.skipped.push({ source: `${item.id}/${one.name}`, reason: picture.message });
        continue;
      }
      const repeat = one.repeat === 0 ? '' : `-repeat-${one.repeat}`;
      const file = `${String(position + 1).padStart(digits, '0')}-${one.name}${repeat}.png`;
      await write(file, picture);
      lines.push(`${JSON.stringify({ file_name: file, ...row(item, one, arm === undefined) })}\n`);
      exported.rows += 1;
    }
  }
  // Last, so that a folder with it is whole.
  await write('metadata.jsonl', lines.join(''));
  return exported;
}

const UNFINISHED: Array<ItemResult['state']> = ['failed', 'cancelled', 'pending', 'skipped'];

const returned = ({ rounds, stopped }: ItemArmResult) => rounds.find(({ round }) => round === stopped.round) ?? rounds.at(-1)!;

function row(item: ItemResult, arm: ItemArmResult, manyArms: boolean) {
  const { round, prompt, image, seed, scores } = returned(arm);
  const repeat = arm.repeat === 0 ? '' : `/${arm.repeat}`;
  return {
    id: `${item.id}${manyArms ? `/${arm.name}` : ''}${repeat}`,
    text: item.caption,
    prompt,
    feedback: arm.rounds.flatMap((one) => (one.feedback !== null && one.round <= round ? [one.feedback] : [])),
    item: item.id,
    arm: arm.name,
    oracle: arm.oracle,
    state: arm.state,
    round,
    seed,
    // Not `image`: that is the column which Hugging Face reads the picture into.
    pictureDigest: image,
    scores,
  };
}
