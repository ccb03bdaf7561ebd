import type { TestStack } from '../support/stack.js';

const LOCK = 4711;

/**
 * Keeps a worker from writing the end of any step: a trigger on the journal waits for a lock that the test holds. What has begun
 * takes effect on its host, and stands between effect and *finished* for as long as the test wants: a fault at an exact place,
 * not at a lucky moment.
 */
export class HeldFinish {
  private constructor(private readonly stack: TestStack) {}

  static async install(stack: TestStack): Promise<HeldFinish> {
    await stack.dataSource.query(`
      CREATE FUNCTION hold_finish() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock_shared(${LOCK}); RETURN NEW; END $$`);
    await stack.dataSource.query(`
      CREATE TRIGGER hold_finish BEFORE UPDATE ON run_step FOR EACH ROW
      WHEN (OLD.state = 'started' AND NEW.state <> 'started') EXECUTE FUNCTION hold_finish()`);
    return new HeldFinish(stack);
  }

  /** While the work lasts no step ends in the journal. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    const holder = this.stack.dataSource.createQueryRunner();
    await holder.connect();
    try {
      await holder.query(`SELECT pg_advisory_lock(${LOCK})`);
      return await work();
    } finally {
      await holder.query(`SELECT pg_advisory_unlock(${LOCK})`);
      await holder.release();
    }
  }
}
