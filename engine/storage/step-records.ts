import { InvalidInput, StorageUnavailable } from '../../core/errors.js';
import type { StepRecord } from '../../core/types.js';
import type { ArtifactStore } from './artifact-store.js';
import { isWhole } from './folder-artifact.js';
import { encodeJson, parseObject } from './json-objects.js';
import type { ObjectStore } from './object-store.js';

/** `steps/<key>.json`; `key` is the 64 hex digits of {@link stepKey}. */
export function stepRecordKey(key: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(key)) throw new InvalidInput(`"${key}" is no step key`);
  return `steps/${key}.json`;
}

/** Losing a race is one more turn; so many in a row means that the store does not do what it says. */
const MAX_TURNS = 20;

type Found = { state: 'absent' } | { state: 'usable'; record: StepRecord } | { state: 'spoilt'; bytes: Uint8Array };

/** Results of steps under their keys. The first one recorded is authoritative. */
export class StepRecords {
  constructor(
    private readonly objects: ObjectStore,
    private readonly artifacts: ArtifactStore,
  ) {}

  /** The recorded result. One that cannot be read, or whose output artifact is missing or corrupt, counts as absent. */
  async findStep(key: string): Promise<StepRecord | undefined> {
    const found = await this.look(key);
    return found.state === 'usable' ? found.record : undefined;
  }

  /** The record as it stands, whatever became of its artifacts. */
  async readStep(key: string): Promise<StepRecord | undefined> {
    const bytes = await this.objects.get(stepRecordKey(key));
    return bytes && parseRecord(key, bytes);
  }

  /** Records a result and returns the authoritative one: an earlier writer's where there is a usable one. */
  async recordStep(record: StepRecord): Promise<StepRecord> {
    const bytes = encodeJson(record);
    const name = stepRecordKey(record.key);
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      if (await this.objects.put(name, bytes, { ifAbsent: true })) return record;
      const found = await this.look(record.key);
      if (found.state === 'usable') return found.record;
      if (found.state === 'spoilt' && (await this.objects.put(name, bytes, { ifMatch: found.bytes }))) return record;
    }
    throw new StorageUnavailable(`cannot record step ${record.key} in ${this.objects.uri}: other writers keep replacing it`);
  }

  private async look(key: string): Promise<Found> {
    const bytes = await this.objects.get(stepRecordKey(key));
    if (bytes === undefined) return { state: 'absent' };
    const record = parseRecord(key, bytes);
    if (!record) return { state: 'spoilt', bytes };
    const checks = await Promise.all(Object.values(record.outputs).map((output) => isWhole(this.artifacts, output)));
    return checks.every(Boolean) ? { state: 'usable', record } : { state: 'spoilt', bytes };
  }
}

function parseRecord(key: string, bytes: Uint8Array): StepRecord | undefined {
  const record = parseObject<StepRecord>(Buffer.from(bytes).toString('utf8'));
  const whole =
    record !== undefined && record.key === key && isObject(record.outputs) && isObject(record.values) && Array.isArray(record.inputs);
  return whole && Object.values(record.outputs).every((output) => isObject(output) && isDigest(output.digest)) ? record : undefined;
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
const isDigest = (value: unknown): boolean => typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);
