// Which commit figures were made from. Plain Node without dependencies.
import { spawnSync } from 'node:child_process';

/** Pages that hold figures: that they are new says nothing about what was measured. */
const PAGES = ['bench/RESULTS.md', 'test/LONG-RESULTS.md'];

/** `commit 1a2b3c4`, or `commit 1a2b3c4 + changes` where the checkout in `folder` differs from it. */
export function revision(folder) {
  const git = (...args) => spawnSync('git', args, { cwd: folder, encoding: 'utf8' });
  const head = git('rev-parse', '--short', 'HEAD');
  if (head.status !== 0) return 'an unknown commit';
  const changes = git('status', '--porcelain', '--', '.', ...PAGES.map((page) => `:(exclude)${page}`));
  const isClean = changes.status === 0 && changes.stdout === '';
  return `commit ${head.stdout.trim()}${isClean ? '' : ' + changes'}`;
}
