import type { TargetState } from '@fettle/contracts';
import { demoRoster } from './roster.js';

/** Name of the runbook that the first start runs across the demo estate. */
export const DEMO_RUNBOOK_NAME = 'demo-health-check';

/** Fails with exit status 1 where the root file system is at least 95 % full. POSIX sh and awk. */
const diskSpaceScript = `df -P / | awk 'NR == 2 { sub("%", "", $5); print "root file system at " $5 " %"; exit ($5 >= 95) }'`;

/** The first runbook as YAML: two read-only looks at each host of the demo estate. */
export const demoRunbook = `apiVersion: fettle/v1
kind: Runbook
metadata:
  name: ${DEMO_RUNBOOK_NAME}
  labels: {estate: demo}
  description: Looks at uptime and disk space of every demo host.
spec:
  targets: asset.labels.estate == "demo"
  steps:
    - id: uptime
      name: How long the host has been up
      uses: ssh.run
      with: {argv: [uptime], effect: read-only}
    - id: disk_space
      name: Room on the root file system
      uses: ssh.script
      with:
        interpreter: [/bin/sh, -s]
        effect: read-only
        script: |
          ${diskSpaceScript}
`;

/** Facts of the demo hosts and what updates they lack, each night, by ready-made runbooks. */
export const demoSchedules = `apiVersion: fettle/v1
kind: Schedule
metadata:
  name: demo-facts-nightly
  labels: {estate: demo}
spec:
  runbook: gather-facts
  cron: 15 3 * * *
  targets: asset.labels.estate == "demo"
---
apiVersion: fettle/v1
kind: Schedule
metadata:
  name: demo-patches-nightly
  labels: {estate: demo}
spec:
  runbook: patch-scan
  cron: 45 3 * * *
  targets: asset.labels.estate == "demo" && asset.labels.os in ["debian", "ubuntu"]
`;

/** How many targets the first run of `demo-health-check` must leave in each state; states not named have none. */
export const demoExpectedCounts: Readonly<Partial<Record<TargetState, number>>> = {
  succeeded: demoRoster.filter((profile) => profile.flaw === undefined).length,
  failed: demoRoster.filter((profile) => profile.flaw === 'disk-full').length,
  unreachable: demoRoster.filter((profile) => profile.flaw === 'unreachable').length,
  quarantined: demoRoster.filter((profile) => profile.flaw === 'host-key-changed').length,
};

/** State in which the run as a whole ends, since not every target succeeds. */
export const demoExpectedRunState = 'failed';
