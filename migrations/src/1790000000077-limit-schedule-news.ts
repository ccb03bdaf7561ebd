import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A schedule that is refused every ten seconds over a weekend is one piece of news an hour, not seventeen thousand: what is alike (state,
 * and code or kind of deadline) is counted on the row that was told, as `followed`, and the next row says how many were not, as `untold`.
 */
export class LimitScheduleNews1790000000077 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE OR REPLACE FUNCTION queue_schedule_notifications(told_id uuid, told_state text, told_news jsonb) RETURNS void LANGUAGE plpgsql AS $$
      DECLARE
        said record;
        latest record;
      BEGIN
        FOR said IN
          SELECT (n.item - 1)::int AS item, n.said ->> 'uses' AS uses, COALESCE(n.said -> 'with', '{}') AS input
          FROM schedule s CROSS JOIN LATERAL jsonb_array_elements(s.notify) WITH ORDINALITY AS n (said, item)
          WHERE s.id = told_id AND s.notify IS NOT NULL AND n.said -> 'on' ? told_state
        LOOP
          SELECT id, at, COALESCE((news ->> 'followed')::bigint, 0) AS followed INTO latest FROM schedule_notification
          WHERE schedule_id = told_id AND state = told_state AND item = said.item
            AND COALESCE(news ->> 'code', news ->> 'deadline', '') = COALESCE(told_news ->> 'code', told_news ->> 'deadline', '')
          ORDER BY at DESC LIMIT 1;
          IF FOUND AND told_state <> 'quarantined' AND latest.at > clock_timestamp() - interval '1 hour' THEN
            UPDATE schedule_notification SET news = news || jsonb_build_object('followed', latest.followed + 1) WHERE id = latest.id;
          ELSE
            INSERT INTO schedule_notification (schedule_id, item, state, uses, input, news)
            VALUES (told_id, said.item, told_state, said.uses, said.input,
              CASE WHEN latest.followed > 0 THEN told_news || jsonb_build_object('untold', latest.followed) ELSE told_news END);
          END IF;
        END LOOP;
      END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE OR REPLACE FUNCTION queue_schedule_notifications(told_id uuid, told_state text, told_news jsonb) RETURNS void LANGUAGE sql AS $$
        INSERT INTO schedule_notification (schedule_id, item, state, uses, input, news)
        SELECT s.id, n.item - 1, told_state, n.said ->> 'uses', COALESCE(n.said -> 'with', '{}'), told_news
        FROM schedule s CROSS JOIN LATERAL jsonb_array_elements(s.notify) WITH ORDINALITY AS n (said, item)
        WHERE s.id = told_id AND s.notify IS NOT NULL AND n.said -> 'on' ? told_state
      $$`);
  }
}
