import { describe, expect, it } from '@jest/globals';
import type { Transaction } from '@fettle/database';
import { CalendarBook, coverOf, groupGate, heldCalendar, namedGate } from './calendar-book.js';

const frozen = (name: string) => ({
  apiVersion: 'fettle/v1',
  kind: 'Calendar',
  metadata: { name, space: 'default' },
  spec: { timeZone: 'UTC', assets: 'true', freezes: [{ from: '2026-01-01', to: '2099-12-31' }] },
});

/** Answers as the two tables do: current versions, and the documents of those asked for. */
class Tables {
  readonly asked: string[][] = [];
  before: () => Promise<unknown> = () => Promise.resolve();
  constructor(readonly documents: Map<string, unknown>) {}

  readonly transaction = {
    query: async (sql: string, [parameter]: [string | readonly string[]]): Promise<unknown[]> => {
      if (typeof parameter === 'string') {
        expect(sql).toContain("kind = 'Calendar'");
        return [...this.documents.keys()].map((id) => ({ versionId: id, name: id }));
      }
      await this.before();
      this.asked.push([...parameter]);
      return parameter.flatMap((id) =>
        this.documents.get(id) === undefined ? [] : [{ id, parsed: this.documents.get(id) }],
      );
    },
  } as unknown as Transaction;
}

const names = ['a', 'b', 'c'];
const three = (): Tables => new Tables(new Map(names.map((name) => [name, frozen(name)])));

describe('calendars that are remembered', () => {
  it('hold all, however few of them are remembered', async () => {
    const [book, tables] = [new CalendarBook(2), three()];
    for (let round = 0; round < 4; round += 1) {
      const held = await book.read(tables.transaction, 'default');
      expect(held.map(({ name, spec, selector }) => [name, spec !== null, selector !== null])).toEqual(
        names.map((name) => [name, true, true]),
      );
      expect(coverOf(held)?.selected).toHaveLength(3);
    }
  });

  it('hold where another space has them forgotten while they are read', async () => {
    const [book, tables] = [new CalendarBook(2), three()];
    await book.read(tables.transaction, 'default');
    const others = new Tables(new Map(['x', 'y', 'z'].map((name) => [name, frozen(name)])));
    tables.before = () => book.read(others.transaction, 'other');
    const held = await book.read(tables.transaction, 'default');
    expect(held.every(({ spec, selector }) => spec !== null && selector !== null)).toBe(true);
  });

  it('are not remembered as unreadable where their document was not there', async () => {
    const [book, tables] = [new CalendarBook(), three()];
    tables.documents.set('b', undefined);
    const gate = namedGate(await book.read(tables.transaction, 'default'), [['b']]);
    expect(gate(0).isOpen).toBe(false);
    tables.documents.set('b', frozen('b'));
    expect((await book.read(tables.transaction, 'default')).map(({ problem }) => problem)).toEqual([null, null, null]);
    expect(tables.asked).toEqual([names, ['b']]);
  });
});

describe('a calendar that cannot be read', () => {
  const closedFor = (spec: object): string | null => {
    const held = heldCalendar('c', { ...frozen('c'), spec });
    expect(held.problem).toMatch(/cannot be read/);
    const covered = coverOf([held]);
    const state = groupGate(covered?.selected ?? [], { site: null, held: [true] })(0);
    expect(namedGate([held], [['c']])(0).isOpen).toBe(false);
    return state.isOpen ? null : (held.selector?.source ?? '');
  };

  it('is closed for what it selects, and where it is named', () => {
    const assets = 'asset.labels.env == "prod"';
    expect(closedFor({ assets, timeZone: 'Mars/Olympus' })).toBe(assets);
    expect(closedFor({ assets, siteTimeZones: { ber: 'Mars/Olympus' } })).toBe(assets);
    expect(closedFor({ assets, windows: [{ cron: '99 * * * *', duration: '1h' }] })).toBe(assets);
    expect(closedFor({ assets, unheardOf: 1 })).toBe(assets);
    expect(closedFor({ assets: 'asset.unheardOf(', freezes: [] })).toBe('true');
    expect(closedFor({ timeZone: 'Mars/Olympus' })).toBeNull();
  });
});
