// `npm run test:production` alone runs these: their names keep them out of `npm test`. They start servers of their own.
import shared from '../../jest.config.mjs';

const { moduleNameMapper, transform, extensionsToTreatAsEsm } = shared.projects[0];

export default {
  rootDir: import.meta.dirname,
  displayName: 'production',
  moduleNameMapper,
  transform,
  extensionsToTreatAsEsm,
  testMatch: ['<rootDir>/*.production.ts'],
};
