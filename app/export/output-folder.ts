import { readdir } from 'node:fs/promises';
import { InvalidInput } from '../../core/errors.js';

/** What lies in a folder that is to be written; nothing where there is none. @throws InvalidInput where it cannot be read */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new InvalidInput(`${folder} cannot be written (${error.code ?? error.message}); name a folder that is new or empty`, {
      cause: error,
    });
  });
}
