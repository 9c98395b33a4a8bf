import { InvalidInput } from '../../core/errors.js';
import type { ItemRecord } from '../../core/types.js';
import type { Store } from '../../engine/storage/index.js';

/**
 * An item's record as a person names the item: by id or key.
 * @throws InvalidInput where the run has none
 */
export async function findItem(store: Store, runId: string, item: string): Promise<ItemRecord> {
  const record = (await store.run(runId).listItems()).find((r) => r.id === item || r.key === item);
  if (record) return record;
  throw new InvalidInput(`run ${runId} has no record of an item ${JSON.stringify(item)}; see \`refineloop items ${runId}\``);
}
