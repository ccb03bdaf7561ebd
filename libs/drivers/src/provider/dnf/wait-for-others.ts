import { managerFailure, type HostCommandEnd, type HostCommands } from '../provider.js';

const LOCK_PAUSE_MS = 2_000;
/** Of dnf, where another one holds a lock. */
const EXIT_LOCKED = 200;
const LOCKED = /already locked by \d+/;

/**
 * dnf waits for another one without end, or not at all: it is told not to, and is called again here, until all calls together have
 * waited for as long as the step says. @throws FettleError `package-lock-held`
 */
export function waitingForOthers(commands: HostCommands, lockWaitMs = commands.lockWaitMs ?? 0): HostCommands {
  let leftMs = lockWaitMs;
  let isNoted = false;
  const wait = async (): Promise<void> => {
    if (!isNoted) commands.note('Another program holds a lock of dnf; it is waited for.\n');
    isNoted = true;
    leftMs -= LOCK_PAUSE_MS;
    await commands.sleep(LOCK_PAUSE_MS);
  };
  return {
    ...commands,
    run: async (argv) => {
      for (;;) {
        const end = await commands.run(argv);
        if (argv[0] !== 'dnf' || !isLocked(end)) return end;
        if (leftMs <= 0) {
          const remedy = 'Wait for the other one to end (dnf-automatic?), or raise "lockWait".';
          throw managerFailure(commands.host, argv, end, 'package-lock-held', remedy);
        }
        await wait();
      }
    },
  };
}

const isLocked = ({ exitCode, stdout, stderr }: HostCommandEnd): boolean =>
  exitCode === EXIT_LOCKED || (exitCode !== 0 && LOCKED.test(`${stderr}\n${stdout}`));
