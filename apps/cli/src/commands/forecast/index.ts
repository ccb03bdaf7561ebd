import { MAX_FORECAST_DAYS } from '@fettle/contracts';
import type { Command } from 'commander';
import { wholeNumber, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';

export function addForecastCommand(program: Command, session: Session): void {
  withSpace(program.command('forecast'))
    .description('what schedules are expected to do in the coming days: how long, on which assets, and what would meet')
    .option('--days <n>', `how far (at most ${MAX_FORECAST_DAYS})`, wholeNumber(1, MAX_FORECAST_DAYS), 7)
    .option('--asset <name>', 'only runs that touch this asset')
    .option('--all', 'in the table, each run of schedules that are due very often, too')
    .action(session.later(async () => (await import('./show-forecast.js')).showForecast));
}
