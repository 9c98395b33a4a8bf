/** Running models on this machine. Nothing here loads native code into the importing process: that is the host's child's. */
export { InferenceHost, type HostOptions, type RequestOptions } from './inference-host.js';
export type { GenerateReply, GenerateRequest } from './host-protocol.js';
export { checkGenerator } from './pipelines/check-generator.js';
export { decodeCheckpoint, encodeCheckpoint, type Checkpoint } from './pipelines/checkpoint.js';
export { addToPack, checkModels, isWhole, type CheckedModel, type PackClaims } from './make-pack.js';
export { checkModelFolder } from './check-model-folder.js';
export { hashFiles, modelDigest } from './model-folder.js';
export { MODEL_KINDS, type ModelKind, type ModelUse } from './model-layouts.js';
export { isPack, loadPack, lossesIn, measuredLosses, packProblems, readPack, taughtTexts, verifyPack, type PackEntry } from './pack.js';
export { loadOptPrompt } from './opt-prompt.js';
export { runtimeOf } from './runtime.js';
