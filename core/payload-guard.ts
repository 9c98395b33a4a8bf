import { InvalidInput } from './errors.js';
import { MAX_PAYLOAD_BYTES } from './types.js';

/**
 * Refuses a value that must not travel through Temporal: an oversize payload would make the server
 * retry the task for ever instead of failing it.
 * @throws InvalidInput naming the largest field
 */
export function guardPayload<T>(what: string, value: T): T {
  const bytes = jsonBytes(value);
  if (bytes <= MAX_PAYLOAD_BYTES) return value;
  throw new InvalidInput(
    `${what} is ${bytes} bytes, above the ${MAX_PAYLOAD_BYTES} that may travel through Temporal; largest field: ${largestField(value)}. Pass it by reference.`,
  );
}

function largestField(value: unknown, path = ''): string {
  if (typeof value !== 'object' || value === null) return path === '' ? 'the value itself' : path;
  const fields = Object.entries(value as Record<string, unknown>).map(([name, field]) => ({ name, field, bytes: jsonBytes(field) }));
  const largest = fields.sort((a, b) => b.bytes - a.bytes)[0];
  if (!largest) return path;
  const here = path === '' ? largest.name : `${path}.${largest.name}`;
  return largest.bytes > MAX_PAYLOAD_BYTES / 2 ? largestField(largest.field, here) : here;
}

/** Bytes of the value's JSON; an upper estimate that needs no encoder (three bytes for what is not ASCII). */
export function jsonBytes(value: unknown): number {
  const text = JSON.stringify(value) ?? '';
  let extra = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) extra += 2;
  return text.length + extra;
}
