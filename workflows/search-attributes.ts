import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { SEARCH_ATTRIBUTES, keyword } from '../core/search-attributes.js';

export type AttributeValues = {
  RefineRun?: string;
  RefineItem?: string;
  RefineStatus?: string;
  RefineRound?: number;
  RefineScore?: number;
  RefineGain?: number;
  RefineDevice?: string[];
};

/** Typed search attributes for `upsertSearchAttributes` and child options. */
export function attributes(values: AttributeValues): SearchAttributePair[] {
  return Object.entries(values).map(([name, value]) => {
    const key = defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name as keyof AttributeValues]);
    return { key, value: shown(value) } as SearchAttributePair;
  });
}

function shown(value: string | number | string[]): string | number | string[] {
  if (typeof value === 'string') return keyword(value);
  if (Array.isArray(value)) return value.map(keyword);
  return Math.round(value * 1e4) / 1e4; // The list of workflows shows every digit.
}
