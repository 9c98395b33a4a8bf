import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

/** The licence in the head of a folder's card (`README.md`), as Hugging Face hosts models and datasets; `undefined` where it says none. */
export async function cardLicence(folder: string): Promise<string | undefined> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '');
  const head = /^---\n(.*?)\n---/s.exec(card)?.[1];
  if (head === undefined) return undefined;
  try {
    const { license } = (parse(head) ?? {}) as { license?: unknown };
    return typeof license === 'string' ? license : undefined;
  } catch {
    return undefined;
  }
}
