import type { NativeConnection } from '@temporalio/worker';
import protobuf from '@temporalio/proto';
import { InvalidInput } from '../core/errors.js';
import { SEARCH_ATTRIBUTES } from '../core/search-attributes.js';

const { IndexedValueType } = protobuf.temporal.api.enums.v1;
const TYPES: Record<string, number> = {
  KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  KEYWORD_LIST: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
  INT: IndexedValueType.INDEXED_VALUE_TYPE_INT,
  DOUBLE: IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
};

/**
 * Registers the search attributes that are missing in the namespace.
 * @throws InvalidInput where one is there with another type: the server would silently keep that one
 */
export async function ensureSearchAttributes(connection: Pick<NativeConnection, 'operatorService'>, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing: Record<string, number> = {};
  for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES)) {
    const found = customAttributes[name];
    if (found === undefined || found === null) missing[name] = TYPES[type]!;
    else if (found !== TYPES[type]) {
      throw new InvalidInput(
        `search attribute ${name} of namespace ${namespace} has another type than ${type}; remove it or use another namespace`,
      );
    }
  }
  if (Object.keys(missing).length > 0) await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: missing });
}
