import { formatFinding, type RehearsedCase, type RehearseReport } from '@fettle/runbook/source';

/** Results in the XML that JUnit's Ant task writes and that build servers read: a suite a rehearsal, a test case a case. */
export function junitXml({ cases }: RehearseReport): string {
  const suites = new Map<string, RehearsedCase[]>();
  for (const one of cases) {
    const key = `${one.file}\0${one.rehearsal}`;
    suites.set(key, [...(suites.get(key) ?? []), one]);
  }
  const body = [...suites.values()].map(suiteXml).join('');
  const failures = cases.filter(isFailed).length;
  const head = `tests="${cases.length}" failures="${failures}" errors="0" time="${seconds(cases)}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="fettle rehearse" ${head}>\n${body}</testsuites>\n`;
}

function suiteXml(cases: readonly RehearsedCase[]): string {
  const [first] = cases;
  const failures = cases.filter(isFailed).length;
  const name = escaped(first?.rehearsal ?? '');
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="${seconds(cases)}"`;
  return `  <testsuite name="${name}" file="${escaped(first?.file ?? '')}" ${counts}>\n${cases.map(caseXml).join('')}  </testsuite>\n`;
}

function caseXml(one: RehearsedCase): string {
  const className = escaped(`${one.runbook}.${one.rehearsal}`);
  const open = `    <testcase name="${escaped(one.name)}" classname="${className}" file="${escaped(one.file)}" time="${seconds([one])}"`;
  if (!isFailed(one)) return `${open}/>\n`;
  const message = escaped(one.failures[0]?.message ?? '');
  const text = escaped(one.failures.map((finding) => formatFinding(finding)).join('\n'));
  return `${open}>\n      <failure type="not-as-expected" message="${message}">${text}</failure>\n    </testcase>\n`;
}

function isFailed({ failures }: RehearsedCase): boolean {
  return failures.length > 0;
}

function seconds(cases: readonly RehearsedCase[]): string {
  return (cases.reduce((sum, { tookMs }) => sum + tookMs, 0) / 1000).toFixed(3);
}

/** XML 1.0, sections 2.2 and 2.4: what markup is made of is written as references, what XML cannot hold becomes U+FFFD. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;');
}
