import { createHash } from 'node:crypto';
import { isDigest } from '../../core/content-hash.js';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import type { ArtifactRef, Digest } from '../../core/types.js';
import type { ObjectStore } from './object-store.js';

/** Thrown when an artifact that is referred to is not in the store. Its step can be run again. */
export class ArtifactMissing extends StorageUnavailable {
  override readonly lasting = true;
  constructor(
    readonly digest: Digest,
    storeUri: string,
  ) {
    super(`artifact ${digest} is not in ${storeUri}`);
    this.name = 'ArtifactMissing';
  }
}

/** Thrown when an artifact's bytes no longer have the digest that they are named by. Putting the right bytes heals it. */
export class ArtifactCorrupt extends StorageUnavailable {
  override readonly lasting = true;
  constructor(
    readonly digest: Digest,
    readonly found: Digest,
    storeUri: string,
  ) {
    super(`artifact ${digest} in ${storeUri} is corrupt: its bytes have the digest ${found}`);
    this.name = 'ArtifactCorrupt';
  }
}

/** True when the artifact itself is gone or spoilt, not the store: whatever refers to it counts as absent. */
export function isArtifactLoss(error: unknown): error is ArtifactMissing | ArtifactCorrupt {
  return error instanceof ArtifactMissing || error instanceof ArtifactCorrupt;
}

/** What is read, or what is wrong with it where it is gone or spoilt; a store that does not answer is thrown. */
export function orLoss<T>(reading: Promise<T>): Promise<T | ArtifactMissing | ArtifactCorrupt> {
  return reading.catch((error: unknown) => {
    if (isArtifactLoss(error)) return error;
    throw error;
  });
}

/** SHA-256 of bytes by Node's own crypto: many times faster on pictures than the pure one that workflows need. */
export function digestOfBytes(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function digestOfStream(parts: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const part of parts) hash.update(part);
  return `sha256:${hash.digest('hex')}`;
}

/** `blobs/sha256/ab/<hex>`. Throws InvalidInput on what is no digest. */
export function artifactKey(digest: Digest): string {
  if (!isDigest(digest)) throw new InvalidInput(`"${digest}" is no artifact digest (sha256:<64 hex digits>)`);
  const hex = digest.slice('sha256:'.length);
  return `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
}

/** Bytes named by their SHA-256. Never changed once written; checked whenever they are read. */
export class ArtifactStore {
  constructor(private readonly objects: ObjectStore) {}

  /** Stores bytes, or finds that they are there; spoilt bytes under their name are replaced. */
  async putArtifact(bytes: Uint8Array, mediaType: string, derivedFrom: Digest[] = []): Promise<ArtifactRef> {
    const digest = digestOfBytes(bytes);
    // Racing writers of one name write the same bytes, so overwriting is safe.
    if ((await this.checkArtifact(digest)) !== 'intact') await this.objects.put(artifactKey(digest), bytes);
    return { digest, mediaType, bytes: bytes.byteLength, derivedFrom: [...new Set(derivedFrom)] };
  }

  /** The bytes of an artifact. Throws ArtifactMissing or ArtifactCorrupt. */
  async getArtifact(artifact: Digest | ArtifactRef): Promise<Uint8Array> {
    const digest = typeof artifact === 'string' ? artifact : artifact.digest;
    const bytes = await this.objects.get(artifactKey(digest));
    if (bytes === undefined) throw new ArtifactMissing(digest, this.objects.uri);
    const found = digestOfBytes(bytes);
    if (found !== digest) throw new ArtifactCorrupt(digest, found, this.objects.uri);
    return bytes;
  }

  /** Whether something is stored under the digest; does not read it. */
  async hasArtifact(artifact: Digest | ArtifactRef): Promise<boolean> {
    return this.objects.has(artifactKey(typeof artifact === 'string' ? artifact : artifact.digest));
  }

  /** Reads an artifact to the end, without holding it, and says how it is. Throws only where the store itself does not work. */
  async checkArtifact(artifact: Digest | ArtifactRef): Promise<'intact' | 'corrupt' | 'missing'> {
    const digest = typeof artifact === 'string' ? artifact : artifact.digest;
    const parts = await this.objects.stream(artifactKey(digest));
    if (!parts) return 'missing';
    return (await digestOfStream(parts)) === digest ? 'intact' : 'corrupt';
  }
}
