/**
 * Bit in `run_target.failing`, beside those of failures that a `finally` puts off: a cancel has stopped the target in the middle of a
 * `try`, and it goes through the `finally` around it and nothing else. Far above the bits of the deepest nesting.
 */
export const STOPPED = 2 ** 30;
