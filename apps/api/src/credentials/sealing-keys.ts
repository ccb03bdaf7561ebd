import { Inject, Injectable } from '@nestjs/common';
import { loadKeyFile, SealingKeyring } from '@fettle/security';
import { API_SETTINGS, type ApiSettings } from '../settings.js';

/** The sealing keys, read from their file at each use: a rotated file is in force without a restart. */
@Injectable()
export class SealingKeys {
  constructor(@Inject(API_SETTINGS) private readonly settings: ApiSettings) {}

  async load(): Promise<SealingKeyring> {
    return SealingKeyring.fromText(await loadKeyFile(this.settings.sealingKeyFile));
  }
}
