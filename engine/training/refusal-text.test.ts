import { refusalText } from './refusal-text.js';

const place = { config: '/tmp/x/config.json', data: '/tmp/x/data' };
const told = (message: string, data: object) => refusalText(message, place, { recipe: { data } as never });

test.each([
  ['/tmp/x/config.json:7: lora.targetModules: none', 'training recipe: lora.target_modules: none'],
  ['/tmp/x/config.json:7: earlyStopping.minDelta: none', 'training recipe: training.early_stopping.min_delta: none'],
  ['/tmp/x/config.json:7: imageEncoder: none', 'training recipe: model.image_encoder: none'],
  ['/tmp/x/data/train/metadata.jsonl:3: file_name: none', './feedback/train/metadata.jsonl:3: file_name: none'],
  ['/models/opt/config.json: architectures: other', '/models/opt/config.json: architectures: other'],
])('%s', (message, expected) => {
  expect(told(message, { feedbackSet: './feedback' })).toBe(expected);
});

test('of a run, whose set is in no folder', () => {
  expect(told('/tmp/x/data/train/metadata.jsonl:3: id: none', { run: 'r' })).toBe(
    'feedback set of run r: train/metadata.jsonl:3: id: none',
  );
});
