/** Disks that are full or read-only: small file systems in memory, where this machine lets them be mounted (root may, in most places). */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Mounts one on a folder, which is made. `options`: such as `size=64k`. False: not permitted here. */
export function mountDisk(at: string, options: string): boolean {
  mkdirSync(at, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export const unmountDisk = (at: string) => execFileSync('umount', ['-l', at], { stdio: 'ignore' });
