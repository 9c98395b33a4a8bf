/** Everything the worker's bundle needs: one entry for all workflows. Deterministic, no I/O. */
export { refineDataset } from './refine-dataset.js';
export { refinePartition } from './refine-partition.js';
export { refineItem } from './refine-item.js';
export { trainModel } from './train-model.js';
export { trainCell } from './train-cell.js';
