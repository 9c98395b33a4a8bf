/** Temporal search attributes of a run's workflows, by name and type; registered by `workers/search-attributes.ts`. */
export const SEARCH_ATTRIBUTES = {
  RefineRun: 'KEYWORD',
  RefineItem: 'KEYWORD',
  RefineStatus: 'KEYWORD',
  RefineRound: 'INT',
  RefineScore: 'DOUBLE',
  RefineGain: 'DOUBLE',
  RefineDevice: 'KEYWORD_LIST',
} as const;

/** Temporal's default limit for a keyword is 255 bytes on SQL visibility stores; longer values are cut. */
export function keyword(value: string): string {
  return value.length <= 200 ? value : `${value.slice(0, 199)}…`;
}
