/**
 * Whether a target that has ended keeps the lock of its asset, because what was done to it may yet be undone: by its run, before that
 * ends; or by a run above, before the topmost one ends. Where the family waits for an asset itself, it keeps only what is being undone at
 * this moment, which waits for nothing: so no two families wait for each other. Whoever has lost a lock by that takes it again before it
 * undoes.
 *
 * @param target alias of a row of `run_target`
 * @param root expression of the topmost run's id
 */
export function keepsEnded(target: string, root: string): string {
  return `EXISTS (SELECT 1 FROM run kept JOIN run top ON top.id = ${root} WHERE kept.id = ${target}.run_id
    AND (kept.ended_at IS NULL OR top.ended_at IS NULL) AND (
      EXISTS (SELECT 1 FROM run_step undoing WHERE undoing.run_id = ${target}.run_id AND undoing.asset_id = ${target}.asset_id
        AND undoing.phase = 'undo' AND undoing.state = 'started')
      OR (kept.has_undo AND (kept.undoes = 'all' OR (kept.undoes = 'unfinished' AND ${target}.state NOT IN ('succeeded', 'skipped')))
        AND (kept.ended_at IS NULL OR (kept.parent_run_id IS NOT NULL AND kept.undoes = 'all' AND top.ended_at IS NULL))
        AND NOT EXISTS (SELECT 1 FROM asset_lock_wait waits JOIN run above ON above.id = waits.root AND above.ended_at IS NULL
          JOIN run_target who ON who.run_id = waits.run_id AND who.asset_id = waits.asset_id
          -- Of a target that has ended, only what came after that: an undo waits.
          WHERE waits.root = ${root} AND (who.state IN ('pending', 'running') OR waits.since >= who.ended_at)))))`;
}
