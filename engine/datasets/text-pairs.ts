import { promises as fs } from 'node:fs';
import { join } from 'node:path';
import pLimit from 'p-limit';
import type { RawRow } from './dataset-rows.js';
import { isHidden } from './dataset-location.js';
import { IMAGE_NAME } from './image-file.js';

/** Texts that people put beside a dataset and that are no captions. */
const NO_CAPTION = /^(readme|licen[cs]e|notice|changelog|requirements)\.txt$/i;

/** All files below a folder, relative to it with `/`, sorted; hidden ones are left out. */
export async function listFiles(folder: string, prefix = ''): Promise<string[]> {
  const entries = (await fs.readdir(join(folder, prefix), { withFileTypes: true })).filter((entry) => !isHidden(entry.name));
  const found = await Promise.all(
    entries.map(async (entry) => (entry.isDirectory() ? listFiles(folder, `${prefix}${entry.name}/`) : [prefix + entry.name])),
  );
  return found.flat().sort();
}

/** Images and the `.txt` files of the same name, which hold their captions. `columns` names the two in the rows. */
export async function readTextPairs(
  folder: string,
  files: readonly string[],
  columns: { caption: string; image: string },
  relative: string,
): Promise<RawRow[]> {
  const stem = (file: string): string => file.replace(/\.[^./]+$/, '');
  const texts = new Map(files.filter((file) => isCaption(file)).map((file) => [stem(file), file]));
  const images = files.filter((file) => IMAGE_NAME.test(file));
  const named = new Set(images.map(stem));
  const limit = pLimit(16);
  const withImage = images.map((image) =>
    limit(async (): Promise<RawRow> => {
      const values = { [columns.image]: image };
      const text = texts.get(stem(image));
      const error = `there is no caption file ${stem(image)}.txt beside the image`;
      if (text === undefined) return { file: relative + image, line: 1, values, error };
      try {
        const caption = new TextDecoder('utf-8', { fatal: true }).decode(await fs.readFile(join(folder, text)));
        return { file: relative + text, line: 1, values: { ...values, [columns.caption]: caption.trim() } };
      } catch (cause) {
        return { file: relative + text, line: 1, values, error: `the caption is not UTF-8 text: ${String(cause)}` };
      }
    }),
  );
  const withoutImage = [...texts.entries()]
    .filter(([name]) => !named.has(name))
    .map(([name, text]): RawRow => {
      return { file: relative + text, line: 1, values: { [columns.image]: name }, error: 'there is no image beside the caption file' };
    });
  return [...(await Promise.all(withImage)), ...withoutImage].sort((a, b) => (imageOf(a) < imageOf(b) ? -1 : 1));

  function imageOf(row: RawRow): string {
    return String(row.values[columns.image]);
  }
}

export function isCaption(file: string): boolean {
  return /\.txt$/i.test(file) && !NO_CAPTION.test(file.slice(file.lastIndexOf('/') + 1));
}
