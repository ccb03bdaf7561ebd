import { Inject, Injectable } from '@nestjs/common';
import { FettleError } from '@fettle/contracts';
import { loadKeyFile, SealingKeyring } from '@fettle/security';
import { API_SETTINGS, type ApiSettings } from '../settings.js';

/** The sealing keys, read from their file at each use: a rotated file is in force without a restart. */
@Injectable()
export class SealingKeys {
  constructor(@Inject(API_SETTINGS) private readonly settings: ApiSettings) {}

  async load(): Promise<SealingKeyring> {
    try {
      return SealingKeyring.fromText(await loadKeyFile(this.settings.sealingKeyFile));
    } catch (cause) {
      throw new FettleError({
        code: 'unavailable',
        message: `The server cannot read its sealing keys${cause instanceof FettleError ? `: ${cause.message}` : '.'}`,
        remedy: 'Mend the file that FETTLE_SEALING_KEY_FILE names; it must be readable by its owner only.',
        cause,
      });
    }
  }
}
