import type { ActionContract } from '@fettle/contracts';
import { z } from 'zod';
import type { JsonObject, JsonValue } from '../json.js';
import { asObject } from './script.js';

/** Deeper than any action's output; a schema that holds itself ends here. */
const MAX_DEPTH = 8;

/** An output of the shape that an action's contract declares, as plain as can be: empty texts and lists, 0, false. */
export function sampleOutput(action: ActionContract): JsonObject {
  return asObject(sampleOf(action.output, 0));
}

function sampleOf(schema: z.core.$ZodType, depth: number): JsonValue {
  if (depth > MAX_DEPTH) return null;
  if (schema instanceof z.ZodObject) {
    const members = Object.entries<z.core.$ZodType>(schema.shape);
    const required = members.filter(([, member]) => !(member instanceof z.ZodOptional));
    return Object.fromEntries(required.map(([name, member]) => [name, sampleOf(member, depth + 1)]));
  }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodReadonly) return sampleOf(schema.unwrap(), depth + 1);
  if (schema instanceof z.ZodArray) return [];
  if (schema instanceof z.ZodRecord) return {};
  if (schema instanceof z.ZodBoolean) return false;
  if (schema instanceof z.ZodEnum) return schema.options[0] ?? null;
  if (schema instanceof z.ZodLiteral) return (schema.value as JsonValue | undefined) ?? null;
  if (schema instanceof z.ZodUnion) return sampleOf(schema.options[0]!, depth + 1);
  if (schema instanceof z.ZodNumber) return Math.max(0, schema.minValue ?? 0);
  return schema instanceof z.ZodString ? '' : null;
}
