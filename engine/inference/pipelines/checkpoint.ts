import { createHash } from 'node:crypto';

/** A generation between two denoising steps: all that the next step needs beside the request itself. */
export interface Checkpoint {
  /** Denoising steps that are through. */
  done: number;
  /** float32, in the latents' shape. */
  latents: Float32Array;
  /** What the scheduler carries from step to step; `null` where it carries nothing. */
  scheduler: Float32Array | null;
}

interface Header {
  done: number;
  latents: number;
  scheduler: number | null;
  sha256: string;
}

/** A line of JSON, then the numbers, little-endian. */
export function encodeCheckpoint({ done, latents, scheduler }: Checkpoint): Uint8Array {
  const body = Buffer.concat([bytesOf(latents), bytesOf(scheduler ?? new Float32Array())]);
  const header: Header = { done, latents: latents.length, scheduler: scheduler?.length ?? null, sha256: sha256(body) };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]);
}

/** `undefined` for bytes that are cut off or spoilt. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint | undefined {
  const end = bytes.indexOf(10);
  if (end < 0) return undefined;
  try {
    const header = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString('utf8')) as Header;
    const body = Uint8Array.from(bytes.subarray(end + 1));
    if (sha256(body) !== header.sha256) return undefined;
    const numbers = new Float32Array(body.buffer);
    const latents = numbers.slice(0, header.latents);
    return { done: header.done, latents, scheduler: header.scheduler === null ? null : numbers.slice(header.latents) };
  } catch {
    return undefined;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
