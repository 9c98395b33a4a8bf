import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { checkKey, type ObjectStore, type PutOptions } from './object-store.js';
import { s3ErrorName, s3Status, s3Unavailable } from './s3-errors.js';
import { ATTEMPTS, pauseMs, retryStrategy } from './s3-retries.js';
import { formatS3Uri, objectUri, type S3Location } from './s3-uri.js';

// Which Node is needed is said by this package; the SDK's announcement of its next one would stand in every command's output.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

/** Tries of a conditional write that another one crossed (409); S3 asks to try again. */
const CROSSINGS = 20;
/** Tries of a write that is denied. */
const DENIALS = 4;

/** The last part of a log is written anew until it is so large. */
const LOG_PART_BYTES = 64 * 2 ** 10;
/** What is larger goes in parts of this size, a few side by side: a request that fails is repeated, not the object. */
const UPLOAD_PART_BYTES = 16 * 2 ** 20;
/** A connection on which nothing moves for so long counts as cut. */
const SILENCE_MS = 60_000;

/**
 * A store under a prefix of a bucket, by plain S3 calls: AWS, MinIO and whatever else speaks them. Conditional writes need `If-None-Match` and
 * `If-Match` on PutObject. Credentials by the SDK's standard chain.
 */
export class S3ObjectStore implements ObjectStore {
  readonly uri: string;
  private readonly client: S3Client;
  private readonly prefix: string;
  /** The last part of each log that goes on, by the log's key. */
  private readonly tails = new Map<string, { part: string; bytes: Uint8Array }>();
  private parts = 0;
  private partAt = 0;

  constructor(private readonly location: S3Location) {
    this.uri = formatS3Uri(location);
    this.prefix = location.prefix === '' ? '' : `${location.prefix}/`;
    const { endpoint, region, pathStyle } = location;
    const named = endpoint ?? process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
    this.client = new S3Client({
      ...(endpoint === null ? {} : { endpoint }),
      // A server that is not AWS has no regions, but every request is signed for one.
      ...(region !== null ? { region } : named !== undefined && !process.env['AWS_REGION'] ? { region: 'us-east-1' } : {}),
      forcePathStyle: pathStyle ?? named !== undefined,
      retryStrategy,
      // Checksums that newer SDKs add by default are unknown to older servers; artifacts carry their digest in their name.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // As many connections as calls at once, which workers and readers bound: one that waits for a connection counts as not connected in time.
      requestHandler: {
        connectionTimeout: 5_000,
        socketTimeout: SILENCE_MS,
        httpAgent: { keepAlive: true, maxSockets: Infinity },
        httpsAgent: { keepAlive: true, maxSockets: Infinity },
      },
    });
  }

  /** Whether the bucket is there for these credentials. @throws StorageUnavailable */
  async check(): Promise<void> {
    // Not HeadBucket: rights on a prefix alone do not cover it.
    const first = { Bucket: this.location.bucket, Prefix: this.prefix, MaxKeys: 1 };
    await this.guarded('open', '', () => this.client.send(new ListObjectsV2Command(first)));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return (await this.read(key))?.bytes;
  }

  async stream(key: string, { from = 0 }: { from?: number } = {}): Promise<AsyncIterable<Uint8Array> | undefined> {
    return (await this.open(key, from))?.parts;
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<boolean> {
    checkKey(key);
    if (!options.ifMatch) return (await this.write(key, bytes, options.ifAbsent ? { IfNoneMatch: '*' } : {})) > 0;
    const found = await this.read(key);
    if (!found || Buffer.compare(found.bytes, options.ifMatch) !== 0) return false;
    return (await this.write(key, bytes, { IfMatch: found.etag })) > 0;
  }

  /**
   * S3 has no appending: a log is parts below its key, named so that they list in order of writing. The last one is written anew with what is
   * added, while it is small and its writes are answered at once: of one that was repeated a first try may still be on its way, and must
   * not arrive after something newer.
   */
  async append(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    const { part, bytes: before } = this.tails.get(key) ?? { part: this.newPart(key), bytes: new Uint8Array() };
    this.tails.delete(key); // Who comes meanwhile, or after a failure, begins a new part.
    const whole = Buffer.concat([before, bytes]);
    const tries = await this.write(part, whole, {});
    if (tries === 1 && whole.byteLength < LOG_PART_BYTES) this.tails.set(key, { part, bytes: whole });
  }

  private newPart(log: string): string {
    // A clock that is set back must not put what is written now before what was read already.
    this.partAt = Math.max(this.partAt, Date.now());
    const time = this.partAt.toString(36).padStart(9, '0');
    const count = (this.parts++).toString(36).padStart(6, '0');
    return `${log}/${time}-${count}-${randomBytes(4).toString('hex')}`;
  }

  async *list(prefix: string, { after }: { after?: string } = {}): AsyncIterable<string> {
    const StartAfter = after === undefined ? {} : { StartAfter: this.prefix + after };
    for await (const { Contents = [] } of this.pages(prefix, StartAfter))
      for (const { Key } of Contents) yield Key!.slice(this.prefix.length);
  }

  async *listTags(prefix: string): AsyncIterable<{ key: string; tag?: string }> {
    for await (const { Contents = [] } of this.pages(prefix, {}))
      for (const { Key, ETag } of Contents) yield { key: Key!.slice(this.prefix.length), tag: ETag };
  }

  async listFolders(prefix: string): Promise<string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes = [] } of this.pages(prefix, { Delimiter: '/' })) {
      folders.push(...CommonPrefixes.map(({ Prefix }) => Prefix!.slice(this.prefix.length + prefix.length, -1)));
    }
    return folders.sort();
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.guarded('delete', key, () => this.client.send(new DeleteObjectCommand(this.object(key))));
  }

  async has(key: string): Promise<boolean> {
    return (await this.size(key)) !== undefined;
  }

  async size(key: string): Promise<number | undefined> {
    checkKey(key);
    const head = await this.absentIfNotFound('read', key, () => this.client.send(new HeadObjectCommand(this.object(key))));
    return head?.ContentLength;
  }

  private async *pages(prefix: string, options: { Delimiter?: string; StartAfter?: string }): AsyncIterable<ListObjectsV2CommandOutput> {
    try {
      yield* paginateListObjectsV2({ client: this.client }, { Bucket: this.location.bucket, Prefix: this.prefix + prefix, ...options });
    } catch (error) {
      throw s3Unavailable('list', objectUri(this.uri, prefix), error);
    }
  }

  private object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.location.bucket, Key: this.prefix + key };
  }

  private async read(key: string): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    const opened = await this.open(key, 0);
    if (!opened) return undefined;
    const parts: Uint8Array[] = [];
    for await (const part of opened.parts) parts.push(part);
    return { bytes: Buffer.concat(parts), etag: opened.etag };
  }

  private async open(key: string, from: number): Promise<{ parts: AsyncIterable<Uint8Array>; etag: string } | undefined> {
    checkKey(key);
    const first = await this.absentIfNotFound('read', key, () => this.request(key, from));
    return first && { parts: this.readOn(key, from, first), etag: first.ETag! };
  }

  /** The answer's body; where the connection is cut it goes on from there, in the same version of the object. */
  private async *readOn(key: string, from: number, first: GetObjectCommandOutput): AsyncIterable<Uint8Array> {
    let at = from;
    let failed = 0;
    for (let answer = first; ; answer = await this.guarded('read', key, () => this.request(key, at, first.ETag))) {
      try {
        for await (const part of (answer.Body ?? []) as AsyncIterable<Uint8Array>) {
          at += part.byteLength;
          failed = 0;
          yield part;
        }
        return;
      } catch (error) {
        if (++failed === ATTEMPTS) throw s3Unavailable('read', objectUri(this.uri, key), error);
        await sleep(pauseMs(failed));
      }
    }
  }

  private request(key: string, from: number, IfMatch?: string): Promise<GetObjectCommandOutput> {
    const Range = from === 0 ? undefined : `bytes=${from}-`;
    return this.client.send(new GetObjectCommand({ ...this.object(key), Range, IfMatch })).catch((error: unknown) => {
      // Nothing is there from that byte on.
      if (s3Status(error) === 416) return { $metadata: {} };
      throw error;
    });
  }

  /** After how many tries it is written; 0: the condition did not hold. */
  private write(key: string, bytes: Uint8Array, condition: { IfNoneMatch?: string; IfMatch?: string }): Promise<number> {
    return this.guarded('write', key, async () => {
      for (let crossing = 1; ; crossing++) {
        try {
          return crossing - 1 + (await this.send({ ...this.object(key), Body: bytes, ...condition }));
        } catch (error) {
          const [status, name] = [s3Status(error), s3ErrorName(error)];
          if (status === 409 && crossing < CROSSINGS) continue;
          // MinIO denies a write whose folder another call is just removing.
          if (status === 403 && crossing < DENIALS) {
            await sleep(pauseMs(crossing));
            continue;
          }
          // A write whose reply was lost meets itself when it is repeated: its object, or the upload that is complete by now.
          if (attemptsOf(error) > 1 && (status === 412 || name === 'NoSuchUpload')) {
            if (Buffer.compare((await this.read(key))?.bytes ?? new Uint8Array(), bytes) === 0) return attemptsOf(error);
          }
          if (status === 412) return 0;
          // The object that was to match is gone.
          if (status === 404 && condition.IfMatch !== undefined && name !== 'NoSuchBucket' && name !== 'NoSuchUpload') return 0;
          throw error;
        }
      }
    });
  }

  /** In one request or, if large, in parts, of which none is left where it fails. Returns the tries of the last request. */
  private async send(put: PutObjectCommandInput & { Body: Uint8Array }): Promise<number> {
    if (put.Body.byteLength <= UPLOAD_PART_BYTES) return attemptsOf(await this.client.send(new PutObjectCommand(put)));
    return attemptsOf(await new Upload({ client: this.client, params: put, partSize: UPLOAD_PART_BYTES }).done());
  }

  private async guarded<T>(doing: string, key: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw s3Unavailable(doing, objectUri(this.uri, key), error);
    }
  }

  private absentIfNotFound<T>(doing: string, key: string, action: () => Promise<T>): Promise<T | undefined> {
    return this.guarded(doing, key, () =>
      action().catch((error: unknown) => {
        if (s3Status(error) === 404 && s3ErrorName(error) !== 'NoSuchBucket') return undefined;
        throw error;
      }),
    );
  }
}

function attemptsOf(answer: unknown): number {
  return (answer as { $metadata?: { attempts?: number } }).$metadata?.attempts ?? 1;
}
