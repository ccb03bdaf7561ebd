/**
 * Version of what workflows and engine do together; stored with each run when its workflow begins. It rises with a change that cannot
 * replay the histories recorded under the version before (see CONTRIBUTING.md, "Change a workflow").
 */
export const ENGINE_VERSION = 1;

/** The oldest version whose runs this code takes up where they are: all recorded histories from it on are replayed by the tests. */
export const OLDEST_ENGINE_VERSION = 1;
