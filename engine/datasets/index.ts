/** Datasets: reading, choosing, indexing into the store. */
export * from './dataset.js';
export { datasetUri } from './dataset-location.js';
export type { DatasetEntry, DatasetRow } from './dataset-rows.js';
export { MAX_FEEDBACK_WORDS, type FeedbackChoice, type FeedbackRow } from './feedback-rows.js';
export { readFeedbackSet, readTaught, type Taught } from './feedback-set.js';
export * from './image-file.js';
export * from './sample.js';
export { buildIndex, type BuildIndexInput } from './build-index.js';
export * from './restore-rows.js';
export * from './write-feedback-set.js';
