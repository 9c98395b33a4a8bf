/** Datasets: reading, choosing, indexing into the store. */
export * from './dataset.js';
export { datasetUri } from './dataset-location.js';
export type { DatasetEntry, DatasetRow } from './dataset-rows.js';
export * from './image-file.js';
export * from './sample.js';
export * from './build-index.js';
