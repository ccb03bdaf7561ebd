import { calendarSections } from './calendar-descriptions.js';

/** What the fields of calendars and patch baselines mean. */
export const kindSections = {
  ...calendarSections,
  patchBaseline: {
    title: 'PatchBaseline: spec',
    intro:
      'Which updates assets are to have. Of the baselines that select an asset the one with the highest `priority` holds, alone; where none does, security updates.',
    fields: {
      description: 'what the baseline is for',
      assets: 'selector of the assets for which it holds; absent: only where a step or a report names it',
      priority: 'of several that select an asset, the highest holds; no two of a space that select have the same',
      updates: 'which updates are wanted',
      severities:
        'of updates whose severity the archive says, only these; what nobody has graded is wanted. Absent: all',
      approved: 'names of packages, in which `*` and `?` stand for others; every package if empty',
      rejected: 'names that are left alone, whatever `approved` says',
      delay: 'a version is wanted once it was on offer so long; absent: at once',
      scanMaxAge: 'a scan, and lists of packages, that are older say nothing any more',
    },
  },
} as const;
