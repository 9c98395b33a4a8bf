import Table from 'cli-table3';
import pc from './colours.js';

/** The one JSON document of a command. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** For people, also while stdout carries JSON. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A plain table that also reads well when it is piped. */
export function table(head: string[], rows: Array<Array<string | number | null>>): string {
  const bare = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
  };
  const none = { ...bare, left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' };
  const made = new Table({ head, chars: none, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } });
  rows.forEach((row) => made.push(row.map((cell) => cell ?? '')));
  const [first, ...rest] = made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  return [pc.bold(first ?? ''), ...rest].join('\n');
}

export function seconds(value: number | null): string {
  if (value === null) return '-';
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(value % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function signed(value: number): string {
  return `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(3)}`;
}
