/** The pure part: types, ids, errors, keys, seeds, policy. Imports no Node built-in and nothing of the other folders. */
export * from './types.js';
export * from './decoding.js';
export * from './recipe.js';
export * from './errors.js';
export * from './ids.js';
export * from './content-hash.js';
export * from './step-key.js';
export * from './seeds.js';
export * from './item-plan.js';
export * from './refine-loop.js';
export * from './policy/refine.js';
export * from './policy/stop.js';
export * from './policy/budget.js';
export * from './queues.js';
export * from './search-attributes.js';
export * from './payload-guard.js';
export * from './step-name.js';
