import { access } from 'node:fs/promises';

/** Whether there is such a file or folder that may be read. */
export function fileExists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
