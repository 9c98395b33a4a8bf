import type { ObjectStore } from './object-store.js';

/** A value as it is stored: JSON with a newline, UTF-8. */
export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
}

/** One line per value. */
export function encodeJsonLines(values: readonly unknown[]): Uint8Array {
  return Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
}

/** The object that a text holds as JSON; `undefined` where it is cut off, spoilt or no object. */
export function parseObject<T extends object>(text: string): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}

/** The lines that can be read, and how many could not. */
export function parseLines<T extends object>(bytes: Uint8Array): { values: T[]; unreadable: number } {
  const values: T[] = [];
  let unreadable = 0;
  for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
    if (line.trim() === '') continue;
    const value = parseObject<T>(line);
    if (value === undefined) unreadable += 1;
    else values.push(value);
  }
  return { values, unreadable };
}

/** A stored JSON object. `unreadable` holds the bytes of one that is there but cut off or spoilt. */
export type StoredJson<T> = { state: 'found'; value: T } | { state: 'absent' } | { state: 'unreadable'; bytes: Uint8Array };

export async function readJson<T extends object>(objects: ObjectStore, key: string): Promise<StoredJson<T>> {
  const bytes = await objects.get(key);
  if (bytes === undefined) return { state: 'absent' };
  const value = parseObject<T>(Buffer.from(bytes).toString('utf8'));
  return value === undefined ? { state: 'unreadable', bytes } : { state: 'found', value };
}
