/** What runs on this machine, read from /proc: to watch that nothing is left behind, and to end what a test started. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessInfo {
  pid: number;
  parent: number;
  command: string;
}

/** Every process that can be read; zombies, which only wait for their parent to look, are left out. */
export function processes(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        // pid (name, which may hold blanks and brackets) state parent ...
        const [state, parent] = readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        return state === 'Z' ? [] : [{ pid: Number(name), parent: Number(parent), command }];
      } catch {
        return []; // Ended while it was read.
      }
    });
}

/** Processes whose command line holds a text, such as a test's own folder. */
export const processesNaming = (text: string): ProcessInfo[] => processes().filter(({ command }) => command.includes(text));

/** Children, their children and so on. */
export function descendants(pid: number): ProcessInfo[] {
  const all = processes();
  const below = (parent: number): ProcessInfo[] => all.filter((p) => p.parent === parent).flatMap((p) => [p, ...below(p.pid)]);
  return below(pid);
}

export function isAlive(pid: number): boolean {
  return processes().some((process) => process.pid === pid);
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Looks again and again until `look` gives something; a test's own time limit ends a wait in vain. */
export async function until<T>(what: string, look: () => T | Promise<T>, limitMs = 60_000): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + limitMs; ; await sleep(100)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
  }
}
