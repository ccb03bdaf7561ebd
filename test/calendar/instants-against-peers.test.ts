import { beforeAll, describe, expect, it } from '@jest/globals';
import { instants, parseCron, parseRule, type Recurrence, type RuleSchedule } from '@fettle/calendar';
import { FettleError } from '@fettle/contracts';
import fc from 'fast-check';
import { figure, testSeed } from '../support/figures.js';
import { commonCron, commonRule, secondsCron, specialCron } from './expressions.js';
import { obtainPeers, type PeerAnswer, type PeerQuery, type Peers } from './peers/peers.js';
import { zoneOffsets } from './zone-offsets.js';
import { distinctZones, FROM_YEAR, TO_YEAR, type ChangingZone } from './zones.js';

const isLong = process.env['FETTLE_LONG'] === '1';
const seed = testSeed();
const DAY = 86_400;
const [GAPS, OVERLAPS] = [['shift', 'skip'] as const, ['first', 'last', 'both'] as const];
const policies = GAPS.flatMap((gap) => OVERLAPS.map((overlap) => ({ gap, overlap })));
/** Changes of clocks of every kind, and none. */
const TWELVE = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'America/Sao_Paulo',
  'Asia/Gaza',
  'Asia/Kathmandu',
  'Pacific/Apia',
  'America/St_Johns',
  'Antarctica/Troll',
  'Africa/Cairo',
  'UTC',
];

/** croniter takes some 50 microseconds an instant: what fires more often in a year is compared over four weeks of it. */
const DENSE_INSTANTS = 4000;

/** What a query asks, with how Fettle writes its expression. */
interface Question extends PeerQuery {
  readonly ours: string;
}

let random = seed;
/** Numbers from 0 to `below` that the seed repeats (a linear congruence is random enough to choose samples). */
function pick(below: number): number {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((random / 2 ** 32) * below);
}

function sample<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  const left = [...values];
  return Array.from({ length: most }, () => left.splice(pick(left.length), 1)[0]).filter((one) => one !== undefined);
}

/** Null: refused as one that names no day at all, so the peer must have none either. */
function ruleOf(text: string, zone: string): RuleSchedule | null {
  try {
    return parseRule(text, zone);
  } catch (error) {
    if (error instanceof FettleError && /no day .* is found/.test(error.message)) return null;
    throw error;
  }
}

/** Answers in pages: more instants than one call returns may lie in ten years. */
function ourInstants({ kind, ours, zone, from, to, gap, overlap }: Question): number[] {
  const base = { timeZone: zone, gap, overlap };
  const rule = kind === 'rrule' ? ruleOf(ours, zone) : null;
  if (kind === 'rrule' && rule === null) return [];
  const recurrence: Recurrence = rule === null ? { ...base, cron: parseCron(ours) } : { ...base, rule };
  const found: number[] = [];
  for (let next = from; ;) {
    const page = instants({ ...recurrence, from: next * 1000, to: to * 1000, count: 10_000 });
    for (const { at } of page) found.push(Date.parse(at) / 1000);
    if (page.length < 10_000) return found;
    next = (found.at(-1) ?? to) + 1;
  }
}

function isDense(asked: Question): boolean {
  const { ours, zone, from, to } = asked;
  const count = DENSE_INSTANTS + 1;
  return instants({ cron: parseCron(ours), timeZone: zone, from: from * 1000, to: to * 1000, count }).length === count;
}

function question(
  expression: string,
  zone: string,
  [from, to]: readonly [number, number],
  policy = policies[0]!,
): Question {
  return { kind: 'cron', expression, ours: expression, zone, from, to, ...policy };
}

/** The first few differences, and how many instants were compared. */
function differences(questions: readonly Question[], answers: readonly PeerAnswer[]) {
  const found: unknown[] = [];
  let compared = 0;
  questions.forEach((asked, index) => {
    const answer = answers[index];
    const peer = answer && 'at' in answer ? answer.at : null;
    const ours = ourInstants(asked);
    compared += ours.length;
    if (peer !== null && ours.length === peer.length && ours.every((at, position) => at === peer[position])) return;
    if (found.length >= 5) return;
    const text = (values: readonly number[]): string[] =>
      values.slice(0, 3).map((at) => new Date(at * 1000).toISOString());
    const [mine, theirs] = [new Set(ours), new Set(peer)];
    const refused = answer && 'error' in answer ? answer.error : undefined;
    found.push({
      asked,
      refused,
      ours: text(ours.filter((at) => !theirs.has(at))),
      peer: text([...theirs].filter((at) => !mine.has(at))),
    });
  });
  return { found, compared };
}

describe('instants against croniter, python-dateutil and robfig/cron on the same zone data', () => {
  let peers: Peers;
  let zones: ChangingZone[];
  const samples = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] => fc.sample(arbitrary, { seed, numRuns });
  const window = (day: number): [number, number] => [day - DAY, day + 2 * DAY];
  const decade: [number, number] = [Date.UTC(FROM_YEAR, 0, 1) / 1000, Date.UTC(TO_YEAR, 0, 1) / 1000];

  beforeAll(async () => {
    peers = await obtainPeers();
    zones = distinctZones();
  }, 600_000);

  async function same(questions: readonly Question[], what: string): Promise<void> {
    const { found, compared } = differences(questions, await peers.python(questions));
    figure(`${what}: ${questions.length} questions, ${compared} instants, ${found.length} differences`);
    expect(found).toEqual([]);
    expect(compared).toBeGreaterThan(questions.length / 10);
  }

  /** Around midnight, around the usual hours of a change, and by elapsed time. */
  const aroundChanges = [
    '*/15 0-5,22,23 * * *',
    '30 2 * * *',
    '0,30 0-4 * * *',
    '*/20 * * * *',
    '7 */2 * * *',
    '0 0 * * *',
    '15,45 1-3,23 * * *',
  ];

  it('agrees with croniter in the three days around each change of every distinct zone', async () => {
    expect(zones.length).toBeGreaterThan(60);
    const questions = zones.flatMap(({ zone, days }) =>
      sample(days, isLong ? days.length : 1).flatMap((day) =>
        (isLong ? aroundChanges : sample(aroundChanges, 2)).flatMap((expression) =>
          (isLong ? policies : sample(policies, 1)).map((policy) => question(expression, zone, window(day), policy)),
        ),
      ),
    );
    await same(questions, 'around each change, croniter');
  }, 1_800_000);

  it('agrees with croniter over ten years in twelve zones', async () => {
    const expressions = ['30 2 * * *', '0 0 1,15 * 5', '45 1-3 * * 0', '*/30 2 */5 * *', '0 */12 * 3,10 *'];
    const questions = TWELVE.flatMap((zone) =>
      sample(expressions, isLong ? 5 : 1).flatMap((expression) =>
        sample(policies, isLong ? 6 : 1).map((policy) => question(expression, zone, decade, policy)),
      ),
    );
    await same(questions, 'ten years, croniter');
  }, 1_800_000);

  const anyZone = (): ChangingZone => zones[pick(zones.length)] ?? { zone: 'UTC', days: [] };
  /** A year of an expression somewhere, or, where it is dense, four weeks with a change of the clock in their midst, if there is any. */
  const aYear = (expression: string, policy = policies[0]!): Question => {
    const { zone, days } = anyZone();
    const start = decade[0] + pick(9 * 365) * DAY;
    const wide = question(expression, zone, [start, start + (isLong ? 366 : 14) * DAY], policy);
    if (!isLong || !isDense(wide)) return wide;
    const middle = sample(days, 1)[0] ?? start + 14 * DAY;
    return { ...wide, from: middle - 14 * DAY, to: middle + 14 * DAY };
  };

  it('agrees with croniter on a few hundred expressions', async () => {
    const policy = () => policies[pick(policies.length)]!;
    const plain = [...samples(commonCron, isLong ? 600 : 200), ...samples(secondsCron, isLong ? 100 : 20)];
    let dense = 0;
    const questions = plain.map((expression) => {
      const asked = aYear(expression, policy());
      if (isLong && asked.to - asked.from < 366 * DAY) dense += 1;
      return asked;
    });
    for (const { ours, croniter } of samples(specialCron, isLong ? 150 : 30)) {
      questions.push({
        ...question(croniter, anyZone().zone, isLong ? decade : [decade[0], decade[0] + 2 * 366 * DAY], policy()),
        ours,
      });
    }
    await same(questions, `expressions (${dense} dense ones over four weeks), croniter`);
  }, 1_800_000);

  it('agrees with python-dateutil on recurrence rules', async () => {
    const questions = samples(commonRule, isLong ? 600 : 60).map((expression): Question => {
      const zone = zones[pick(zones.length)]?.zone ?? 'UTC';
      const from = decade[0] + pick(9 * 365) * DAY;
      const days = expression.startsWith('FREQ=YEARLY') ? 3 * 366 : isLong ? 366 : 30;
      const policy = policies[pick(policies.length)]!;
      return { ...question(expression, zone, [from, from + days * DAY], policy), kind: 'rrule' };
    });
    await same(questions, 'rules, python-dateutil');
  }, 1_800_000);

  it('agrees with robfig/cron but where a clock is moved, and those differences are listed', async () => {
    const changes = zones.flatMap(({ zone, days }) =>
      sample(days, isLong ? days.length : 1).map((day) => ({ zone, day })),
    );
    const policy = { gap: 'skip', overlap: 'both' } as const;
    const questions = [
      ...changes.flatMap(({ zone, day }) =>
        (isLong ? aroundChanges : sample(aroundChanges, 3)).map((expression) =>
          question(expression, zone, window(day), policy),
        ),
      ),
      ...TWELVE.flatMap((zone) =>
        ['30 2 * * *', '0 0 1,15 * 5'].map((expression) => question(expression, zone, decade, policy)),
      ),
      ...samples(commonCron, isLong ? 600 : 200).map((expression) => aYear(expression, policy)),
    ];
    const answers = await peers.robfig(questions);
    const explained = new Map<string, string[]>();
    const unexplained: unknown[] = [];
    let compared = 0;
    questions.forEach((asked, index) => {
      const answer = answers[index];
      const theirs = answer && 'at' in answer ? answer.at : [];
      if (!answer || ('error' in answer && answer.error)) unexplained.push({ asked, answer });
      const ours = ourInstants(asked);
      compared += ours.length;
      let common = asked.from;
      // Both ascend.
      for (let [own, other] = [0, 0]; own < ours.length || other < theirs.length;) {
        const [mine, their] = [ours[own] ?? Infinity, theirs[other] ?? Infinity];
        if (mine < their) note(asked, [common, mine], 'only Fettle');
        else if (their < mine) note(asked, [common, their], 'only robfig');
        else common = mine;
        if (mine <= their) own += 1;
        if (their <= mine) other += 1;
      }
    });
    function note(asked: Question, [common, at]: readonly [number, number], who: string): void {
      const why = explanation(asked.zone, common, at);
      if (why === null) unexplained.push({ asked, at: new Date(at * 1000).toISOString(), who });
      else push(explained, `${who}: ${why}`, asked.zone);
    }
    figure(`robfig/cron: ${questions.length} questions, ${compared} instants; where it differs:`);
    for (const [why, places] of [...explained].sort())
      figure(`  ${places.length} times ${why}, in ${new Set(places).size} zones such as ${places[0] ?? ''}`);
    expect(unexplained.slice(0, 5)).toEqual([]);
  }, 1_800_000);
});

function push(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** robfig/cron walks from one instant to the next: null where the clock is not moved on its way, nor within a day of its end. */
function explanation(zone: string, from: number, to: number): string | null {
  const offset = zoneOffsets(zone);
  for (let at = from - DAY; at <= to; at += DAY) {
    const minutes = offset(at + DAY) - offset(at);
    if (minutes !== 0) return `on the way over a change by ${minutes} minutes`;
  }
  return null;
}
