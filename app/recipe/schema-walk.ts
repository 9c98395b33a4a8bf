import { z } from 'zod';
import { isRecord, valueAt, type FieldPath } from './recipe-source.js';

/** A schema without what only wraps it: defaults, `nullable`, preprocessing. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodNullable) {
      inner = inner.unwrap() as z.ZodType;
    } else if (inner instanceof z.ZodPipe) {
      inner = inner.def.out as z.ZodType;
    } else return inner;
  }
}

/** The schema of the field at a path; `value` decides between the forms of a union. `null` where there is none. */
export function schemaAt(root: z.ZodType, path: FieldPath, value: unknown): z.ZodType | null {
  let schema: z.ZodType | undefined = root;
  for (const [i, key] of path.entries()) {
    const inner: z.ZodType = formOf(unwrap(schema), valueAt(value, path.slice(0, i)));
    if (inner instanceof z.ZodArray) schema = inner.element as z.ZodType;
    else if (inner instanceof z.ZodObject && Object.hasOwn(inner.shape, key)) schema = inner.shape[key] as z.ZodType;
    else return null;
  }
  return schema;
}

/** Keys of a mapping's schema; empty for everything else. */
export function keysOf(schema: z.ZodType, value: unknown): string[] {
  const inner = formOf(unwrap(schema), value);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** The form of a union by its `source`; any other schema as it is. */
function formOf(schema: z.ZodType, value: unknown): z.ZodType {
  if (!(schema instanceof z.ZodUnion)) return schema;
  const source = isRecord(value) ? value['source'] : undefined;
  const forms = schema.options as z.ZodType[];
  return forms.find((form) => form instanceof z.ZodObject && (form.shape['source'] as z.ZodType).safeParse(source).success) ?? schema;
}

/** A field's default as it would be written, `undefined` where the field must be given. */
export function defaultOf(schema: z.ZodType): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined;
}

/** The doc line of a field, wherever in its wrappers it was put. */
export function docOf(schema: z.ZodType): string {
  return schema.description ?? unwrap(schema).description ?? '';
}

/** In words, what a field takes: `a whole number from 1 to 20`. */
export function expected(schema: z.ZodType): string {
  const inner = unwrap(schema);
  const nothing = schema.safeParse(null).success ? ', or nothing' : '';
  if (inner instanceof z.ZodURL) return `a URL${nothing}`;
  if (inner instanceof z.ZodString) return `text${nothing}`;
  if (inner instanceof z.ZodBoolean) return `true or false${nothing}`;
  if (inner instanceof z.ZodEnum || inner instanceof z.ZodLiteral) return `one of ${allowed(inner).join(', ')}${nothing}`;
  if (inner instanceof z.ZodNumber) return `${numberText(inner)}${nothing}`;
  if (inner instanceof z.ZodArray) return 'a list';
  if (inner instanceof z.ZodObject) return `a mapping with the keys ${Object.keys(inner.shape).join(', ')}${nothing}`;
  return `a mapping${nothing}`;
}

function allowed(schema: z.ZodEnum | z.ZodLiteral): string[] {
  return schema instanceof z.ZodEnum ? schema.options.map(String) : [...schema.values].map(String);
}

function numberText(schema: z.ZodNumber): string {
  const { minValue: min, maxValue: max } = schema;
  const kind = schema.format?.includes('int') ? 'a whole number' : 'a number';
  const hasMin = min !== null && min > Number.MIN_SAFE_INTEGER;
  const hasMax = max !== null && max < Number.MAX_SAFE_INTEGER;
  const range = hasMin && hasMax ? ` from ${min} to ${max}` : hasMin ? ` of at least ${min}` : hasMax ? ` of at most ${max}` : '';
  const step = schema.def.checks?.some((check) => check._zod.def.check === 'multiple_of') ? ', a multiple of 8' : '';
  return `${kind}${range}${step}`;
}
