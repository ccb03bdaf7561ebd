/** Numbers that the same seed gives again. */
export interface Random {
  /** A whole number from 0 to `limit` less one. */
  below(limit: number): number;
  from<One>(values: readonly One[]): One;
}

/** mulberry32: 32 bits of state, good enough to mix histories. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { below, from: (values) => values[below(values.length)]! };
}
