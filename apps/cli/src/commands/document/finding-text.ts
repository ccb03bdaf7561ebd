import type { Finding } from '@fettle/contracts';
import { formatFinding } from '@fettle/runbook/source';
import type { Colours } from '../../output/colours.js';
import { neutralise } from '../../output/text.js';
import type { SourceFile } from './read-sources.js';

/** A finding with the line of its file that it is about: the same for every command that reads documents. */
export function findingText(finding: Finding, sources: readonly SourceFile[], colours: Colours): string {
  const source = sources.find(({ file }) => file === finding.position?.file)?.text;
  const [head = '', ...rest] = neutralise(formatFinding(finding, source)).split('\n');
  const painted = head.replace(
    /^(\S*:\d+:\d+:)? ?(error|warning):/,
    (_whole, place: string | undefined, word: string) =>
      `${place === undefined ? '' : `${colours.bold(place)} `}${word === 'error' ? colours.red(word) : colours.yellow(word)}:`,
  );
  return `${[painted, ...rest].join('\n')}\n`;
}
