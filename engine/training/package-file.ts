import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A file or folder that comes with the program, by its path in the repository; whether this is source or compiled. */
export function packageFile(path: string): string {
  const places = ['../../', '../../../'].map((up) => fileURLToPath(new URL(`${up}${path}`, import.meta.url)));
  return places.find((place) => existsSync(place)) ?? places[0]!;
}
