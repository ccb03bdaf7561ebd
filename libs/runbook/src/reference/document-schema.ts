import {
  documentKinds,
  rehearsalDocumentSchema,
  stepKinds,
  type ActionContract,
  type StepKind,
} from '@fettle/contracts';
import { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord } from '../json.js';
import { fieldSections, type SectionName } from './field-descriptions.js';

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;
type Draft = Record<string, unknown>;

/** Text with `${{ }}`, which may stand wherever an action takes a value. */
const template: JsonSchema = {
  type: 'string',
  pattern: '\\$\\{\\{',
  description: 'Text with ${{ CEL }}, which yields the value.',
};

/** What files hold: documents, and the rehearsals beside them. */
const writtenKinds = { ...documentKinds, Rehearsal: rehearsalDocumentSchema };

/**
 * The JSON Schema (draft 2020-12) of all kinds of documents, for editors: fields with their meaning, and the input of each action by
 * `uses`. It knows shapes only; `fettle validate` checks as well what expressions read and what fits together.
 */
export function documentSchema(actions: ActionRegistry): JsonSchema {
  const kinds = Object.keys(writtenKinds) as (keyof typeof writtenKinds)[];
  const definitions: Draft = { template };
  for (const kind of kinds) {
    const { $defs, ...document } = withNamedStep(jsonSchemaOf(writtenKinds[kind]));
    Object.assign(definitions, stepDefinitions($defs, actions));
    definitions[kind] = document;
  }
  for (const action of Object.values(actions)) definitions[inputName(action)] = inputSchema(action);
  describeFields(definitions);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Fettle document',
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: { const: 'fettle/v1', description: 'The format.' },
      kind: { enum: kinds, description: 'What spec holds.' },
    },
    allOf: kinds.map((kind) => ({
      if: { properties: { kind: { const: kind } }, required: ['kind'] },
      then: reference(kind),
    })),
    $defs: definitions,
  };
}

const reference = (name: string): JsonSchema => ({ $ref: `#/$defs/${name}` });
const inputName = ({ name }: ActionContract): string => `input.${name}`;
export const stepName = (kind: StepKind): string => `step.${kind}`;

function jsonSchemaOf(schema: z.core.$ZodType): Draft {
  const { $schema: _dialect, ...draft } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    cycles: 'ref',
  });
  return draft;
}

/** The one thing that refers to itself is the step; zod numbers such things, here it gets its name. */
function withNamedStep(schema: Draft): Draft {
  const [name, ...others] = Object.keys(isRecord(schema['$defs']) ? schema['$defs'] : {});
  if (name === undefined) return schema;
  if (others.length > 0) throw new TypeError('the schema of documents refers to more than the step');
  const text = JSON.stringify(schema).replaceAll(`"#/$defs/${name}"`, '"#/$defs/step"');
  const named = JSON.parse(text) as Draft;
  return { ...named, $defs: { step: at(named, '$defs', name) } };
}

function stepDefinitions(found: unknown, actions: ActionRegistry): Draft {
  if (!isRecord(found)) return {};
  const shapes = at(found, 'step')['anyOf'];
  if (!Array.isArray(shapes) || shapes.length !== stepKinds.length) {
    throw new TypeError('the schema of a step is not the choice between its kinds');
  }
  const anyOf = stepKinds.map((kind) => reference(stepName(kind)));
  const definitions: Draft = { step: { type: 'object', required: ['id'], anyOf } };
  for (const [index, kind] of stepKinds.entries()) definitions[stepName(kind)] = (shapes as readonly unknown[])[index];
  addActionInputs(definitions, actions);
  return definitions;
}

function at(value: unknown, ...path: readonly (string | number)[]): Draft {
  let current: unknown = value;
  for (const part of path) current = (current as Record<string | number, unknown> | undefined)?.[part];
  if (!isRecord(current)) throw new TypeError(`the schema of documents has no ${path.join('.')}`);
  return current;
}

/** Wherever `uses` names an action, `with` is its input. */
function addActionInputs(definitions: Draft, actions: ActionRegistry): void {
  const all = Object.values(actions);
  const control = all.filter(({ scope }) => scope === 'control');
  const step = at(definitions, stepName('uses'));
  bindInputs(step, all);
  bindInputs(at(step, 'properties', 'rollback', 'anyOf', 0), all);
  const waits = at(definitions, stepName('wait'), 'properties', 'wait')['anyOf'] as readonly Draft[];
  for (const wait of waits) if (isRecord(wait['properties']) && 'uses' in wait['properties']) bindInputs(wait, control);
}

function bindInputs(schema: Draft, actions: readonly ActionContract[]): void {
  const properties = at(schema, 'properties');
  properties['uses'] = { enum: actions.map(({ name }) => name) };
  properties['with'] = { type: 'object' };
  schema['allOf'] = actions.map((action) => ({
    if: { properties: { uses: { const: action.name } }, required: ['uses'] },
    then: { properties: { with: reference(inputName(action)) }, ...(needsInput(action) ? { required: ['with'] } : {}) },
  }));
}

function needsInput({ input }: ActionContract): boolean {
  return !input.safeParse({}).success;
}

function inputSchema(action: ActionContract): JsonSchema {
  const { $defs, ...schema } = jsonSchemaOf(action.input);
  const members = withTemplates(schema) as Draft;
  // The input itself is an object with members; only what is inside may be yielded by an expression.
  const own =
    Array.isArray(members['anyOf']) && !('anyOf' in schema) ? (members['anyOf'] as readonly unknown[])[0] : members;
  return { ...(own as Draft), description: action.summary, ...($defs === undefined ? {} : { $defs }) };
}

/** Any value of an input may be yielded by an expression instead. */
function withTemplates(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const inner: Draft = { ...schema };
  for (const key of ['properties'] as const) {
    const members = inner[key];
    if (!isRecord(members)) continue;
    inner[key] = Object.fromEntries(Object.entries(members).map(([name, member]) => [name, withTemplates(member)]));
  }
  for (const key of ['items', 'additionalProperties'] as const)
    if (isRecord(inner[key])) inner[key] = withTemplates(inner[key]);
  if (Array.isArray(inner['anyOf'])) {
    const options = inner['anyOf'].map((option) => withoutTemplate(withTemplates(option)));
    return { ...inner, anyOf: [...options, reference('template')] };
  }
  const takesAnyText = Object.keys(schema).every((key) =>
    ['type', 'default', 'description', 'maxLength', 'minLength'].includes(key),
  );
  if (Object.keys(schema).length === 0 || (schema['type'] === 'string' && takesAnyText)) return inner;
  const { default: value, description, ...shape } = inner;
  return {
    ...(value === undefined ? {} : { default: value }),
    ...(description === undefined ? {} : { description }),
    anyOf: [shape, reference('template')],
  };
}

function withoutTemplate(schema: unknown): unknown {
  const options = isRecord(schema) ? schema['anyOf'] : undefined;
  return Array.isArray(options) &&
    options.length === 2 &&
    isRecord(options[1]) &&
    options[1]['$ref'] === reference('template')['$ref']
    ? options[0]
    : schema;
}

/** Where the fields of a section stand in the definitions; a field may stand in several places. */
export function sectionProperties(definitions: JsonSchema): Readonly<Record<SectionName, readonly Draft[]>> {
  const kind = (name: StepKind, ...path: readonly (string | number)[]): Draft =>
    at(definitions, stepName(name), 'properties', ...path);
  const steps = stepKinds.map((name) => kind(name));
  const only = (draft: Draft, names: readonly string[]): Draft =>
    Object.fromEntries(Object.entries(draft).filter(([name]) => names.includes(name)));
  const uses = kind('uses');
  const spec = at(definitions, 'Runbook', 'properties', 'spec', 'properties');
  const calendar = at(definitions, 'Calendar', 'properties', 'spec', 'properties');
  const capacities = [spec, ...steps].map((properties) =>
    at(properties, 'capacity', 'items', 'anyOf', 1, 'properties'),
  );
  const retries = [at(uses, 'retry'), at(uses, 'rollback', 'anyOf', 0, 'properties', 'retry')];
  return {
    metadata: [
      at(definitions, 'Runbook', 'properties', 'metadata', 'properties'),
      at(definitions, 'Schedule', 'properties', 'metadata', 'properties'),
      at(definitions, 'Capacity', 'properties', 'metadata', 'properties'),
      at(definitions, 'Calendar', 'properties', 'metadata', 'properties'),
      at(definitions, 'PatchBaseline', 'properties', 'metadata', 'properties'),
    ],
    runbook: [spec],
    rollout: [at(spec, 'rollout', 'properties')],
    schedule: [at(definitions, 'Schedule', 'properties', 'spec', 'properties')],
    notification: [at(spec, 'notify', 'items', 'properties')],
    scheduleNotification: [
      at(definitions, 'Schedule', 'properties', 'spec', 'properties', 'notify', 'items', 'properties'),
    ],
    capacityLimit: [at(definitions, 'Capacity', 'properties', 'spec', 'properties')],
    calendar: [calendar],
    patchBaseline: [at(definitions, 'PatchBaseline', 'properties', 'spec', 'properties')],
    window: ['windows', 'freezes'].map((name) => at(calendar, name, 'items', 'properties')),
    holiday: [at(calendar, 'holidays', 'items', 'properties')],
    step: steps.map((properties) => only(properties, ['id', 'name', 'if', 'onError', 'capacity'])),
    uses: [only(uses, ['uses', 'with', 'retry', 'timeout', 'outputs', 'rollback'])],
    retry: retries.map((retry) => at(retry, 'properties')),
    rollback: [at(uses, 'rollback', 'anyOf', 0, 'properties'), at(uses, 'rollback', 'anyOf', 1, 'properties')],
    parallel: [only(kind('parallel'), ['parallel', 'failFast'])],
    forEach: [kind('forEach', 'forEach', 'properties'), only(kind('forEach'), ['outputs'])],
    choose: [kind('choose', 'choose', 'items', 'properties')],
    call: [kind('call', 'call', 'properties'), only(kind('call'), ['outputs'])],
    approval: [kind('approval', 'approval', 'properties')],
    escalate: [kind('approval', 'approval', 'properties', 'escalate', 'properties')],
    wait: [
      ...[0, 1, 2, 3].map((index) => kind('wait', 'wait', 'anyOf', index, 'properties')),
      only(kind('wait'), ['outputs']),
    ],
    try: [only(kind('try'), ['try', 'catch', 'finally'])],
    capacity: capacities,
  };
}

function describeFields(definitions: Draft): void {
  const sections = sectionProperties(definitions);
  for (const [name, places] of Object.entries(sections)) {
    const { fields } = fieldSections[name as SectionName];
    for (const properties of places) {
      for (const [field, schema] of Object.entries(properties)) {
        const description = (fields as Readonly<Record<string, string>>)[field];
        if (description !== undefined && isRecord(schema)) (schema as Draft)['description'] = description;
      }
    }
  }
  for (const kind of stepKinds) at(definitions, stepName(kind))['description'] = fieldSections[kind].intro;
}
