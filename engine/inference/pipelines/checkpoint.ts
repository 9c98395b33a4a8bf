import { createHash } from 'node:crypto';

/** A generation between two denoising steps: all that the next step needs beside the request itself. */
export interface Checkpoint {
  /** Denoising steps that are through. */
  done: number;
  /** float32, in the latents' shape. */
  latents: Float32Array;
  /** What the scheduler carries from step to step, each in the latents' shape. */
  scheduler: Float32Array[];
}

interface Header {
  done: number;
  latents: number;
  sha256: string;
}

/** A line of JSON, then the numbers, little-endian. */
export function encodeCheckpoint({ done, latents, scheduler }: Checkpoint): Uint8Array {
  const body = Buffer.concat([latents, ...scheduler].map(bytesOf));
  const header: Header = { done, latents: latents.length, sha256: sha256(body) };
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
    const [latents, ...scheduler] = Array.from({ length: numbers.length / header.latents }, (_, i) =>
      numbers.slice(i * header.latents, (i + 1) * header.latents),
    );
    return latents && { done: header.done, latents, scheduler };
  } catch {
    return undefined;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
