import type { CapacityWant, PlannedWant } from '@fettle/contracts';
import { errorOf, type Frame, type Walker } from './plan-frame.js';
import { renderPartly } from './plan-step.js';

/**
 * What is taken of capacity at a path, with its keys as far as they are known. One that cannot be computed stands as the document
 * has it: the run says why when it comes there.
 */
export function plannedWants(
  walk: Walker,
  wants: readonly CapacityWant[] | undefined,
  path: string,
  frame: Frame,
): PlannedWant[] {
  return (wants ?? []).map((want) => {
    const { key, units } = typeof want === 'string' ? { key: want, units: 1 } : want;
    return { path, units, ...renderedKey(walk, key, frame) };
  });
}

function renderedKey(walk: Walker, source: string, frame: Frame): Omit<PlannedWant, 'path' | 'units'> {
  if (!source.includes('${{')) return { key: source };
  const compiled = walk.template(source, 'capacity');
  if ('error' in compiled) return { key: source };
  try {
    const { value, knownAfter } = renderPartly(source, compiled.template, walk.runLevel(frame), 'capacity');
    return { key: String(value), ...(knownAfter.length === 0 ? {} : { knownAfter: [...knownAfter] }) };
  } catch (error) {
    errorOf(error);
    return { key: source };
  }
}
