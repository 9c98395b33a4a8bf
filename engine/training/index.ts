/** Fine-tuning by the training program in a process of its own, and what is made of its result. */
export { readFeedbackSetFolder, type FeedbackSetFolder } from './feedback-set-folder.js';
export { makeTrainingPack, TRAINING_PACK_FILES, type TrainingPackInput } from './make-training-pack.js';
export { packageFile } from './package-file.js';
export { refusalText } from './refusal-text.js';
export { endLeftover, runTrainer, type DoneEvent, type TrainerEvent } from './trainer-process.js';
export { findTrainerPython, trainerProgram, trainerPython, type TrainerProgram, type TrainerScript } from './trainer-program.js';
