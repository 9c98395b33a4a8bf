/** What all benchmarks share: CPU time from /proc, medians, and a line that says on what and under which load they ran. */
import { readFileSync, readdirSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';

/** /proc counts CPU time in clock ticks; on Linux a hundred a second for every program that asks. */
const TICKS_PER_SECOND = 100;

/** Fields of /proc/PID/stat from the third on: the command's name before them may hold blanks. */
function statOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** User + system seconds of one process, all its threads. */
export function cpuSeconds(pid) {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** User + system seconds of all children of a process that have ended, and of theirs. */
export function endedChildrenCpuSeconds(pid = 'self') {
  const fields = statOf(pid);
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** User + system seconds of everything that was started from this process, ended or not. */
export function startedCpuSeconds() {
  const ofOne = (pid) => {
    try {
      return cpuSeconds(pid) + endedChildrenCpuSeconds(pid);
    } catch {
      return 0; // Ended meanwhile: its parent's from here on.
    }
  };
  return descendants(process.pid).reduce((sum, pid) => sum + ofOne(pid), endedChildrenCpuSeconds());
}

/** Process ids below one process, those whose command line holds a text. */
export function descendants(pid, text = '') {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), Number(statOf(name)[1]));
    } catch {
      // Ended meanwhile.
    }
  }
  const isBelow = (child) => {
    for (let at = parents.get(child); at !== undefined; at = parents.get(at)) if (at === pid) return true;
    return false;
  };
  return [...parents.keys()].filter((child) => isBelow(child) && commandLine(child).includes(text));
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const fixed = (value, digits = 2) => value.toFixed(digits);

/** One-minute load average: near 0 on an idle machine, so whatever else runs shows in it before a measurement begins. */
export const load = () => fixed(loadavg()[0]);

export function describeMachine() {
  const { model } = cpus()[0];
  return `${cpus().length} x ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, load ${load()}`;
}

/** Whole-number options with their defaults, such as `--pairs 5`. */
export function numberOptions(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ options });
  return Object.fromEntries(
    Object.entries(defaults).map(([name, byDefault]) => {
      const value = values[name] === undefined ? byDefault : Number(values[name]);
      if (value !== null && !(Number.isInteger(value) && value > 0)) throw new Error(`--${name} takes a whole number above 0`);
      return [name, value];
    }),
  );
}

/** MiB of a process' memory at its peak; `undefined` for one that has ended. */
export function peakOf(pid) {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024 || undefined;
  } catch {
    return undefined;
  }
}
