import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { SEARCH_ATTRIBUTES, keyword } from '../core/search-attributes.js';

export type AttributeValues = {
  RefineRun?: string;
  RefineItem?: string;
  RefineStatus?: string;
  RefineRound?: number;
  RefineScore?: number;
  RefineGain?: number;
};

/** Typed search attributes for `upsertSearchAttributes` and child options. */
export function attributes(values: AttributeValues): SearchAttributePair[] {
  return Object.entries(values).map(([name, value]) => {
    const key = defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name as keyof AttributeValues]);
    return { key, value: typeof value === 'string' ? keyword(value) : forPeople(value) } as SearchAttributePair;
  });
}

/** Four decimals: the list of workflows shows every digit. */
const forPeople = (value: number): number => Math.round(value * 1e4) / 1e4;
