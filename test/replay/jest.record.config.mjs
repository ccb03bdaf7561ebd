// `npm run record-histories` alone runs this: its name keeps it out of `npm test`.
import shared from '../../jest.config.mjs';

const real = shared.projects.find(({ displayName }) => displayName === 'real');
const { moduleNameMapper, transform, extensionsToTreatAsEsm, globalSetup, globalTeardown } = real;
const atRoot = (path) => path.replace('<rootDir>', new URL('../..', import.meta.url).pathname.replace(/\/$/, ''));

export default {
  rootDir: import.meta.dirname,
  displayName: 'record',
  moduleNameMapper,
  transform,
  extensionsToTreatAsEsm,
  globalSetup: atRoot(globalSetup),
  globalTeardown: atRoot(globalTeardown),
  testMatch: ['<rootDir>/*.record.ts'],
};
