import type { ItemOutcome, ItemRecord } from '../core/types.js';
import { deriveOutcome } from './recall.js';
import type { ActivityServices, RunContext } from './services.js';
import type { ItemDone, ItemRef, RecordItemInput } from './types.js';

/** Writes an item's record: from here on the item is what the record says. */
export async function recordItem(
  services: ActivityServices,
  run: RunContext,
  { item, outcome, reason }: RecordItemInput,
): Promise<ItemDone> {
  return writeOutcome(run, item, 'derived' in outcome ? await deriveOutcome(services, run, item, outcome) : outcome, reason);
}

export async function writeOutcome(run: RunContext, item: ItemRef, outcome: ItemOutcome, reason?: string): Promise<ItemDone> {
  const { position } = await run.files.readIndexed(item.offset);
  const record: ItemRecord = { id: item.id, key: item.key, position, ...outcome, ...(reason === undefined ? {} : { reason }) };
  await run.files.writeItem(record);
  return itemDone(record);
}

export function itemDone({ key, state, spent, steps, failure }: ItemRecord): ItemDone {
  return { key, state, spent, steps, ...(failure?.step === 'workflow' ? { ended: true } : {}) };
}
