import type { Finding } from '@fettle/contracts';
import type { Colours } from './colours.js';
import { oneLine } from './text.js';

/** `file:line:column: error: message`, then the offending text and what was probably meant. */
export function renderFinding(finding: Finding, colours: Colours): string {
  const { position, severity } = finding;
  const place =
    position === undefined
      ? (finding.path ?? '')
      : `${position.file ?? ''}${position.file === undefined ? '' : ':'}${position.line}:${position.column}`;
  const word = severity === 'error' ? colours.red('error') : colours.yellow('warning');
  const path = position !== undefined && finding.path !== undefined && finding.path !== '' ? ` (${finding.path})` : '';
  const lines = [
    `${place === '' ? '' : `${colours.bold(oneLine(place))}: `}${word}: ${oneLine(finding.message)}${colours.dim(oneLine(path))}`,
  ];
  if (finding.text !== undefined && finding.text !== '') lines.push(`    ${oneLine(finding.text)}`);
  if (finding.suggestion !== undefined) lines.push(`    did you mean ${colours.green(oneLine(finding.suggestion))}?`);
  return `${lines.join('\n')}\n`;
}

const MAX_SHOWN = 100;

export type FindingRenderer = (finding: Finding, colours: Colours) => string;

export function renderFindings(
  findings: readonly Finding[],
  colours: Colours,
  render: FindingRenderer = renderFinding,
): string {
  const more = findings.length - MAX_SHOWN;
  const lines = findings.slice(0, MAX_SHOWN).map((finding) => render(finding, colours));
  return lines.join('') + (more > 0 ? `... and ${more} more findings; -o json shows all\n` : '');
}
