import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { PatchHost } from '../support/patch-host.js';

const PATIENCE_MS = 300_000;
const REBOOTS = '/var/log/reboots';

describe('host.reboot', () => {
  let host: PatchHost;
  /** How the host comes up after it went down; null: it stays down. */
  let comesUp: (() => Promise<void>) | null = null;
  let runbooks = 0;

  beforeAll(async () => {
    host = await PatchHost.start([{ name: 'app', version: '1.0' }]);
    // There is no init in there that could reboot anything: it is noted down, and the test does it.
    await host.root.write('usr/sbin/shutdown', `#!/bin/sh\necho "$@" >> ${REBOOTS}\n`, 0o755);
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  beforeEach(async () => {
    await host.root.write(REBOOTS, '');
    await host.root.write('usr/bin/needrestart-state', '1');
    // What it says is the test's; that it is asked, and how, is not.
    const says = 'echo "NEEDRESTART-KCUR: 6.1.0-1"; echo "NEEDRESTART-KEXP: 6.1.0-2"';
    await host.root.write(
      'usr/sbin/needrestart',
      `#!/bin/sh\n${says}\necho "NEEDRESTART-KSTA: $(cat /usr/bin/needrestart-state)"\n`,
      0o755,
    );
    comesUp = () => host.root.boot();
  });

  const requests = async (): Promise<string[]> => (await host.root.inside('cat', REBOOTS)).split('\n').filter(Boolean);

  /** Starts the step, and does what a machine does that was asked to reboot. */
  async function reboot(input: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<RunDetail> {
    const name = `reboot-${(runbooks += 1)}`;
    const step = { id: 'step', uses: 'host.reboot', with: input, ...more };
    await host.stack.addRunbook(name, { targets: 'true', steps: [step] });
    const { id } = await host.stack.start(name);
    const ended = host.stack.ended(id, PATIENCE_MS);
    let isOver = false;
    const over = ended.finally(() => (isOver = true));
    over.catch(() => undefined);
    while (!isOver && (await requests()).length === 0) await sleep(100);
    if (!isOver && comesUp !== null) {
      await host.root.halt();
      await comesUp();
    }
    return ended;
  }
  const errorOf = (run: RunDetail) => run.targets[0]?.error ?? null;

  it(
    'reboots a host that asks for it, and proves another boot',
    async () => {
      await host.root.inside('touch', '/run/reboot-required');
      const before = (await host.root.inside('cat', '/proc/sys/kernel/random/boot_id')).trim();
      const run = await reboot({});
      expect([run.state, errorOf(run)]).toEqual(['succeeded', null]);
      const after = (await host.root.inside('cat', '/proc/sys/kernel/random/boot_id')).trim();
      expect(after).not.toBe(before);
      const output = await host.output(run);
      expect(output).toMatchObject({ rebooted: true, bootIdBefore: before, bootIdAfter: after, kernel: 'newest' });
      // There is no systemd in there, and that is said.
      expect(output).toMatchObject({
        newlyFailedUnits: null,
        cannotTell: [expect.stringMatching(/which units failed/)],
      });
      expect(await requests()).toEqual(['-r now fettle']);
    },
    PATIENCE_MS,
  );

  it(
    'leaves a host alone that does not ask, and says where that cannot be told',
    async () => {
      const idle = await reboot({});
      expect([idle.state, errorOf(idle)]).toEqual(['succeeded', null]);
      expect(await host.output(idle)).toMatchObject({ rebooted: false });
      await host.root.write('usr/bin/needrestart-state', '0');
      const unclear = await reboot({});
      expect(errorOf(unclear)).toMatchObject({
        code: 'reboot-need-unknown',
        message: expect.stringMatching(/^host-000: .*cannot be told/),
      });
      expect(await requests()).toEqual([]);
    },
    PATIENCE_MS,
  );

  it(
    'says that it runs an older kernel than is installed',
    async () => {
      await host.root.write('usr/bin/needrestart-state', '3');
      const run = await reboot({});
      expect(errorOf(run)).toMatchObject({ code: 'reboot-still-needed', message: expect.stringMatching(/6\.1\.0-2/) });
      expect(await requests()).toHaveLength(1);
    },
    PATIENCE_MS,
  );

  it(
    'names units that failed since, and none that had failed before',
    async () => {
      const systemctl = (...failing: string[]): Promise<void> =>
        host.root.write(
          'usr/bin/systemctl',
          `#!/bin/sh\ncase $1 in list-units) printf '%s loaded failed failed x\\n' ${failing.join(' ')} ;; *) echo running ;; esac\n`,
          0o755,
        );
      await systemctl('old.service');
      comesUp = async () => {
        await systemctl('old.service', 'nginx.service');
        await host.root.boot();
      };
      const run = await reboot({ when: 'always' });
      expect(errorOf(run)).toMatchObject({
        code: 'units-failed',
        message: expect.stringMatching(/before: nginx\.service\.$/),
      });
      await host.root.inside('rm', '/usr/bin/systemctl');
    },
    PATIENCE_MS,
  );

  it(
    'does not begin while packages are being changed, or were left half-changed',
    async () => {
      const dpkg = await host.root.lock('/var/lib/dpkg/lock');
      const busy = await reboot({ when: 'always', lockWait: '1ms' });
      expect(errorOf(busy)).toMatchObject({
        code: 'package-manager-busy',
        message: expect.stringMatching(/^host-000: "perl \(process \d+\)" is changing packages/),
      });
      expect(await requests()).toEqual([]);
      const [waited] = await Promise.all([reboot({ when: 'always' }), dpkg.release()]);
      expect([waited.state, errorOf(waited)]).toEqual(['succeeded', null]);

      const broken = { name: 'app', version: '2.0', postinst: 'exit 1' };
      await host.repository.add('main', broken);
      await expect(host.root.inside('dpkg', '--install', host.repository.file('main', broken))).rejects.toThrow();
      await host.root.write(REBOOTS, '');
      const half = await reboot({ when: 'always' });
      expect(errorOf(half)).toMatchObject({ code: 'package-manager-interrupted' });
      expect(await requests()).toEqual([]);
      await host.root.write('var/lib/dpkg/info/app.postinst', '#!/bin/sh\n', 0o755);
      await host.root.inside('dpkg', '--configure', '-a');
    },
    PATIENCE_MS,
  );

  it(
    'does not begin where one boot cannot be told from another',
    async () => {
      await host.root.halt();
      await host.root.boot(null);
      const run = await reboot({ when: 'always' });
      expect(errorOf(run)).toMatchObject({
        code: 'boot-id-unreadable',
        message: expect.stringMatching(/was not rebooted/),
      });
      expect(await requests()).toEqual([]);
      await host.root.halt();
      await host.root.boot();
    },
    PATIENCE_MS,
  );

  it(
    'leaves to a person what can no longer be told',
    async () => {
      comesUp = () => host.root.boot(null);
      const run = await reboot({ when: 'always' });
      expect(run.targets[0]).toMatchObject({ state: 'unknown' });
      expect(errorOf(run)).toMatchObject({
        code: 'effect-uncertain',
        message: expect.stringMatching(/cannot be told/),
      });
      await host.root.halt();
      await host.root.boot();
    },
    PATIENCE_MS,
  );

  it(
    'says that a host did not come back, or did not go down',
    async () => {
      // The time bounds the look before the request as well: a loaded machine needs some.
      comesUp = () => Promise.resolve();
      const gone = await reboot({ when: 'always' }, { timeout: '40s' });
      expect(errorOf(gone)).toMatchObject({
        code: 'reboot-not-back',
        message: expect.stringMatching(/^host-000: it did not come back within \d+ s/),
      });
      await host.root.boot();
      await host.root.write(REBOOTS, '');
      comesUp = null;
      const stays = await reboot({ when: 'always' }, { timeout: '40s' });
      expect(errorOf(stays)).toMatchObject({ code: 'reboot-not-begun' });
      expect(await requests()).toEqual(['-r now fettle']);
    },
    PATIENCE_MS,
  );

  it(
    'asks once, also where the worker is killed after it asked',
    async () => {
      comesUp = async () => {
        await host.worker?.stop('SIGKILL');
        host.worker = await host.stack.startWorker();
        await host.root.boot();
      };
      const run = await reboot({ when: 'always' });
      expect([run.state, errorOf(run)]).toEqual(['succeeded', null]);
      expect(await requests()).toEqual(['-r now fettle']);
    },
    PATIENCE_MS,
  );
});
