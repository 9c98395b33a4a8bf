import { randomUUID } from 'node:crypto';
import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import { RUN_ID_PATTERN } from '../../core/ids.js';
import type { CellProgress, TrainingManifest, TrainingResult, TrainingStateRecord } from '../../core/training.js';
import type { ArtifactRef, Digest, TrainingStepName } from '../../core/types.js';
import { ArtifactCorrupt, ArtifactMissing, digestOfBytes } from './artifact-store.js';
import { folderDigests } from './folder-artifact.js';
import { encodeJson, encodeJsonLines, parseLines, readJson } from './json-objects.js';
import type { ObjectStore } from './object-store.js';

/** A point of a loss curve: an optimiser step, or an evaluation on the validation split after one. */
export type CurvePoint = { step: number; epoch: number; loss: number; learningRate: number } | { step: number; validationLoss: number };

/** `checkpoint.json` of a cell: what any worker goes on from. */
export interface CheckpointRecord {
  /** Of the train step: a checkpoint of other inputs is none. */
  key: string;
  step: number;
  /** What the program calls it. */
  name: string;
  /** As a folder of the cell's {@link CellCheckpoints}, below the name of who wrote it. */
  folder: ArtifactRef;
  writer: string;
}

const STEP_FILE = /\/cells\/\d+\/(train|export|measure)\.json$/;

/** Ids of the trainings of a store that have a manifest, sorted. */
export async function listTrainings(objects: ObjectStore): Promise<string[]> {
  const ids = (await objects.listFolders('training/')).filter((name) => RUN_ID_PATTERN.test(name));
  const there = await Promise.all(ids.map((id) => objects.has(`training/${id}/manifest.json`)));
  return ids.filter((_, i) => there[i]);
}

/** `training/<id>/`: what a training is, how it stands, and what came of it. */
export class TrainingFiles {
  readonly prefix: string;

  /** Throws InvalidInput on what cannot name a training. */
  constructor(
    readonly objects: ObjectStore,
    readonly trainingId: string,
  ) {
    if (!RUN_ID_PATTERN.test(trainingId)) {
      throw new InvalidInput(
        `"${trainingId}" cannot name a training: letters, digits, ".", "_" and "-", at most 64, the first a letter or a digit`,
      );
    }
    this.prefix = `training/${trainingId}/`;
  }

  /** Writes the manifest where there is none and returns the one that is there: the caller compares `recipeDigest`. */
  async createManifest(manifest: TrainingManifest): Promise<TrainingManifest> {
    if (await this.objects.put(`${this.prefix}manifest.json`, encodeJson(manifest), { ifAbsent: true })) return manifest;
    return (await this.readManifest())!;
  }

  readManifest(): Promise<TrainingManifest | undefined> {
    return this.read<TrainingManifest>('manifest.json');
  }

  writeState(state: TrainingStateRecord): Promise<void> {
    return this.write('state.json', state);
  }

  readState(): Promise<TrainingStateRecord | undefined> {
    return this.read<TrainingStateRecord>('state.json');
  }

  writeResult(result: TrainingResult): Promise<void> {
    return this.write('result.json', result);
  }

  readResult(): Promise<TrainingResult | undefined> {
    return this.read<TrainingResult>('result.json');
  }

  writeProgress(progress: CellProgress): Promise<void> {
    return this.write(`cells/${progress.cell}/progress.json`, progress);
  }

  readProgress(cell: number): Promise<CellProgress | undefined> {
    return this.read<CellProgress>(`cells/${cell}/progress.json`);
  }

  /** Says which step a cell does, or has found done: what `gc` leaves while the training has no result. */
  writeStep(cell: number, step: TrainingStepName, key: string): Promise<void> {
    return this.write(`cells/${cell}/${step}.json`, { key });
  }

  /** Keys of the steps that any cell has begun. */
  async listSteps(): Promise<string[]> {
    const keys: string[] = [];
    for await (const name of this.objects.list(`${this.prefix}cells/`)) {
      if (!STEP_FILE.test(name)) continue;
      const found = await readJson<{ key: string }>(this.objects, name);
      if (found.state === 'found') keys.push(found.value.key);
    }
    return keys;
  }

  checkpoints(cell: number): CellCheckpoints {
    return new CellCheckpoints(this.objects, `${this.prefix}cells/${cell}/`);
  }

  private async write(name: string, value: object): Promise<void> {
    await this.objects.put(this.prefix + name, encodeJson(value));
  }

  private async read<T extends object>(name: string): Promise<T | undefined> {
    const found = await readJson<T>(this.objects, this.prefix + name);
    if (found.state === 'unreadable') throw new StorageUnavailable(`${this.prefix}${name} in ${this.objects.uri} is cut off or spoilt`);
    return found.state === 'found' ? found.value : undefined;
  }
}

/**
 * A cell's newest checkpoint and its curve so far, under `training/<id>/cells/<n>/`: `checkpoint.json`, written last; `checkpoint/<writer>/<hex>`, the bytes of the
 * newest alone, and none of its own accord in `blobs/`, so that a long training does not fill the store; `curve/<step>.jsonl`, what came since the checkpoint
 * before. Each of these is a writer of its own, so that an attempt that was given up and the next one delete nothing that the other has just written.
 */
export class CellCheckpoints {
  private readonly writer = randomUUID();
  /** What writers before this one have left: it goes when there is something newer. */
  private before: string[] = [];

  constructor(
    private readonly objects: ObjectStore,
    private readonly prefix: string,
  ) {}

  /** Where this writer's bytes go; each is written, whatever lies there, for another attempt to read whole. */
  readonly blobs = this.blobsOf(this.writer);

  /** Where those of a checkpoint that was found lie. Throws ArtifactMissing and ArtifactCorrupt: then there is none. */
  blobsOf(writer: string) {
    return {
      putArtifact: async (bytes: Uint8Array, mediaType: string, derivedFrom: Digest[] = []): Promise<ArtifactRef> => {
        const digest = digestOfBytes(bytes);
        await this.objects.put(this.blobKey(writer, digest), bytes);
        return { digest, mediaType, bytes: bytes.byteLength, derivedFrom };
      },
      getArtifact: async (artifact: Digest | ArtifactRef): Promise<Uint8Array> => {
        const digest = typeof artifact === 'string' ? artifact : artifact.digest;
        const bytes = await this.objects.get(this.blobKey(writer, digest));
        if (!bytes) throw new ArtifactMissing(digest, this.objects.uri);
        const found = digestOfBytes(bytes);
        if (found !== digest) throw new ArtifactCorrupt(digest, found, this.objects.uri);
        return bytes;
      },
    };
  }

  /** The newest one of this step; its curve's last point is not after it. */
  async find(key: string): Promise<{ record: CheckpointRecord; curve: CurvePoint[] } | undefined> {
    const found = await readJson<CheckpointRecord>(this.objects, `${this.prefix}checkpoint.json`);
    this.before = await this.names('checkpoint/');
    if (found.state !== 'found' || found.value.key !== key) return undefined;
    const curve: CurvePoint[] = [];
    for await (const name of this.objects.list(`${this.prefix}curve/`)) {
      const bytes = stepOf(name) <= found.value.step ? await this.objects.get(name) : undefined;
      curve.push(...parseLines<CurvePoint>(bytes ?? new Uint8Array()).values);
    }
    return { record: found.value, curve };
  }

  /** @param since points that came after the checkpoint before */
  async write(record: Omit<CheckpointRecord, 'writer'>, since: readonly CurvePoint[]): Promise<void> {
    await this.objects.put(`${this.prefix}curve/${String(record.step).padStart(9, '0')}.jsonl`, encodeJsonLines(since));
    await this.objects.put(`${this.prefix}checkpoint.json`, encodeJson({ ...record, writer: this.writer }));
    const kept = new Set((await folderDigests(this.blobs, record.folder)).map((digest) => this.blobKey(this.writer, digest)));
    const own = await this.names(`checkpoint/${this.writer}/`);
    for (const name of [...this.before.splice(0), ...own.filter((name) => !kept.has(name))]) await this.objects.delete(name);
  }

  /** All of them, when they are no longer needed. */
  async remove(): Promise<void> {
    await this.objects.delete(`${this.prefix}checkpoint.json`);
    for (const name of [...(await this.names('checkpoint/')), ...(await this.names('curve/'))]) await this.objects.delete(name);
  }

  private async names(folder: string): Promise<string[]> {
    const names: string[] = [];
    for await (const name of this.objects.list(this.prefix + folder)) names.push(name);
    return names;
  }

  private blobKey(writer: string, digest: Digest): string {
    return `${this.prefix}checkpoint/${writer}/${digest.slice('sha256:'.length)}`;
  }
}

const stepOf = (name: string): number => Number(name.slice(name.lastIndexOf('/') + 1, -'.jsonl'.length));
