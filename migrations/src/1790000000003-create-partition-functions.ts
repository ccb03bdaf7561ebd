import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Functions that make monthly partitions. Tables with a UUIDv7 key are partitioned by ranges of that key, which are ranges of
 * time (RFC 9562 section 5.7: the first 48 bits are Unix milliseconds), so that the key alone stays the primary key.
 */
export class CreatePartitionFunctions1790000000003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION uuid_of_time(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
        SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      $$`);
    await runner.query(`
      CREATE FUNCTION ensure_month_partition(parent text, month date, by_key boolean) RETURNS void LANGUAGE plpgsql AS $$
      DECLARE
        month_start timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
        month_end timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
        child text := parent || '_' || to_char(month, 'YYYYMM');
      BEGIN
        IF to_regclass(child) IS NOT NULL THEN RETURN; END IF;
        IF by_key THEN
          EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            child, parent, uuid_of_time(month_start), uuid_of_time(month_end));
        ELSE
          EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, month_start, month_end);
        END IF;
      END
      $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP FUNCTION ensure_month_partition(text, date, boolean)`);
    await runner.query(`DROP FUNCTION uuid_of_time(timestamptz)`);
  }
}
