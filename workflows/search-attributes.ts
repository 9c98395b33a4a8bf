import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { SEARCH_ATTRIBUTES, keyword } from '../core/search-attributes.js';

type Values = {
  RefineRun?: string;
  RefineItem?: string;
  RefineStatus?: string;
  RefineRound?: number;
  RefineScore?: number;
  RefineGain?: number;
};

/** Typed search attributes for `upsertSearchAttributes` and child options. */
export function attributes(values: Values): SearchAttributePair[] {
  return Object.entries(values).map(([name, value]) => {
    const key = defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name as keyof Values]);
    return { key, value: typeof value === 'string' ? keyword(value) : value } as SearchAttributePair;
  });
}
