import { describe, expect, it } from '@jest/globals';
import { diffDocuments, formatDiffLine } from './diff-documents.js';

const lines = (before: unknown, after: unknown): string[] => diffDocuments(before, after).map(formatDiffLine);

describe('diffDocuments', () => {
  it('names what was added, removed and changed, steps by their id', () => {
    const before = {
      metadata: { name: 'a', labels: { 'a.b/c': 'x' } },
      spec: {
        timeout: '1h',
        steps: [{ id: 'one', with: { argv: ['a', 'b'] } }, { id: 'two', uses: 'x' }, { id: 'gone' }],
      },
    };
    const after = {
      metadata: { name: 'a', labels: { 'a.b/c': 'y' } },
      spec: {
        steps: [{ id: 'two', uses: 'y' }, { id: 'one', with: { argv: ['a', 'c', 'd'] } }, { id: 'new' }],
        targets: 'true',
      },
    };
    expect(lines(before, after)).toEqual([
      '~ metadata.labels["a.b/c"]: "x" -> "y"',
      '- spec.timeout: "1h"',
      '~ spec.steps[one].with.argv[1]: "b" -> "c"',
      '+ spec.steps[one].with.argv[2]: "d"',
      '~ spec.steps[two].uses: "x" -> "y"',
      '- spec.steps[gone]: {"id":"gone"}',
      '+ spec.steps[new]: {"id":"new"}',
      '~ spec.steps (order): one, two -> two, one',
      '+ spec.targets: "true"',
    ]);
  });

  it('is empty for equal values and tells types apart', () => {
    expect(diffDocuments({ b: [1, { x: null }], a: 1 }, { a: 1, b: [1, { x: null }] })).toEqual([]);
    expect(lines({ a: 1, b: [], c: null }, { a: '1', b: {}, c: false })).toEqual([
      '~ a: 1 -> "1"',
      '~ b: [] -> {}',
      '~ c: null -> false',
    ]);
    expect(lines({ list: [{ id: 'a' }, { id: 'a' }] }, { list: [{ id: 'b' }] })).toEqual([
      '~ list[0].id: "a" -> "b"',
      '- list[1]: {"id":"a"}',
    ]);
  });

  it('is bounded', () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`k${index}`, 'x'.repeat(1000)]));
    const found = diffDocuments({}, many);
    expect(found).toHaveLength(2001);
    expect(found.at(-1)?.after).toBe('3000 more changes');
    expect(found[0]?.after?.length).toBe(200);
  });

  it('names steps inside of others, and those of handlers, by their ids', () => {
    const runbook = (argv: string, handler: readonly unknown[]) => ({
      steps: [{ id: 'each', forEach: { items: [1], as: 'n', steps: [{ id: 'go', with: { argv: [argv] } }] } }],
      handlers: { tidy: handler },
    });
    const lines = diffDocuments(runbook('a', [{ id: 'x' }]), runbook('b', [{ id: 'x' }, { id: 'y' }]));
    expect(lines.map((line) => formatDiffLine(line))).toEqual([
      '~ steps[each].forEach.steps[go].with.argv[0]: "a" -> "b"',
      '+ handlers.tidy[y]: {"id":"y"}',
    ]);
  });
});
