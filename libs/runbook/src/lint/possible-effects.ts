import { effects, type ActionContract, type ActionStep, type Effect, type RunbookSpec } from '@fettle/contracts';
import { z } from 'zod';
import { declaredInputs } from '../document/declared-inputs.js';
import { isRecord } from '../json.js';

/** Each member that an expression decides multiplies what is tried. */
const MAX_TRIED = 256;

/**
 * The effects that an action may come to where its input holds expressions: `${{ inputs.mode }}` is any value of that input's enum,
 * and any other expression whatever the action's schema lists; all of them where those do not tell, either.
 */
export function possibleEffects(
  { with: input }: Pick<ActionStep, 'with'>,
  action: ActionContract,
  inputs: RunbookSpec['inputs'],
): readonly Effect[] {
  const members = action.input instanceof z.ZodObject ? Object.entries<z.ZodType>(action.input.shape) : [];
  let tried: readonly Readonly<Record<string, unknown>>[] = [{}];
  for (const [name, schema] of members) {
    const given = input[name];
    const values = isDynamic(given) ? possibleValues(given, schema, inputs) : [schema.safeParse(given).data];
    tried = tried.flatMap((one) => values.map((value) => ({ ...one, [name]: value })));
    if (tried.length > MAX_TRIED) return effects;
  }
  const found = tried.map((one) => effectWith(one, action));
  return effects.filter((effect) => found.includes(effect) || found.includes(null));
}

function isDynamic(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('${{');
  const members = Array.isArray(value) ? (value as unknown[]) : isRecord(value) ? Object.values(value) : [];
  return members.some(isDynamic);
}

/** Nothing in particular where neither the input nor the action lists them. */
function possibleValues(given: unknown, schema: z.ZodType, inputs: RunbookSpec['inputs']): readonly unknown[] {
  const listed = optionsOf(schema);
  if (listed === null) return [undefined];
  const name = typeof given === 'string' ? /^\$\{\{\s*inputs\.(\w+)\s*\}\}$/.exec(given.trim())?.[1] : undefined;
  const allowed = declaredInputs(inputs).find((one) => one.name === name && !one.isList)?.allowed;
  // What the action does not take fails before anything is done.
  const fitting = (allowed ?? []).filter((value) => listed.includes(value));
  return fitting.length > 0 ? fitting : listed;
}

function optionsOf(schema: z.core.$ZodType): readonly unknown[] | null {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return optionsOf(schema.unwrap());
  return schema instanceof z.ZodEnum ? schema.options : null;
}

function effectWith(input: unknown, action: ActionContract): Effect | null {
  try {
    return effects.find((effect) => effect === action.effect(input)) ?? null;
  } catch {
    // What it reads is decided by an expression.
    return null;
  }
}
