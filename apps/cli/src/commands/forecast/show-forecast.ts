import { forecastSchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { readerZone } from '../schedule/fire-text.js';
import { forecastText } from './forecast-text.js';

interface ForecastOptions extends SpaceOptions {
  readonly days: number;
  readonly asset?: string;
  readonly all?: boolean;
}

export async function showForecast(session: Session, options: ForecastOptions): Promise<number> {
  const { space, days, asset } = options;
  const found = await session
    .connect(options)
    .get('/api/v1/forecast', forecastSchema, { space, days, ...(asset === undefined ? {} : { asset }) });
  session.output.data(options.output, found, () => forecastText(session.output, found, readerZone(), options.all));
  return EXIT.ok;
}
