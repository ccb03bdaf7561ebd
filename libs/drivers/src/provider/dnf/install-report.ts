import type { InstallReport } from '../provider.js';
import { keep, MAX_KEPT, OutputLines } from '../output-lines.js';

const EXIT_LOCKED = /^fettle: locked|already locked by \d+|Failed to obtain the transaction lock/;
const UNREACHED =
  /Cannot download|Failed to download|All mirrors were tried|Error opening \S+\.rpm|Could ?n[o']t resolve|incorrect checksum/;

/** What the output of dnf tells beside its log: which scripts failed, what was kept, and why nothing was done. */
export class DnfInstallReport implements InstallReport {
  readonly errors = new Map<string, string>();
  readonly warnings = new Map<string, string>();
  readonly keptFiles: string[] = [];
  readonly complaints: string[] = [];
  readonly services: string[] = [];
  readonly unforeseen: string[] = [];
  isRepaired = false;
  isRepairFailed = false;
  trouble: InstallReport['trouble'] = null;
  readonly #lines = new OutputLines((line, stream) => this.#line(line, stream));
  /** Whether what the stream tells belongs to an error; the streams come beside each other. */
  readonly #inError = { stdout: false, stderr: false };

  add(stream: 'stdout' | 'stderr', text: string): void {
    this.#lines.add(stream, text);
  }

  #line(line: string, stream: 'stdout' | 'stderr'): void {
    const script = /^(error|warning): (%\w+)\((\S+)\) scriptlet failed, (.+)$/.exec(line);
    const broken = /^error: (?:unpacking of archive failed|(\S+)\.[a-z0-9_]+: install failed)(.*)$/.exec(line);
    const kept = /^warning: \S.* (?:created|saved) as (\/.+)$/.exec(line)?.[1];
    const missing = /^No match for argument: (\S+)$/.exec(line)?.[1];
    if (EXIT_LOCKED.test(line)) this.trouble = 'locked';
    else if (UNREACHED.test(line)) this.trouble ??= 'unreached';
    if (script !== null) this.#script(script[1] ?? '', script[2] ?? '', script[3] ?? '', script[4] ?? '');
    else if (broken?.[1] !== undefined) this.#failed(broken[1], 'rpm could not install it');
    else if (kept !== undefined) keep(this.keptFiles, kept);
    else if (missing !== undefined) this.#failed(missing, 'no source offers it, or it is kept back');
    else if (line.startsWith('fettle: service ')) keep(this.services, line.slice(16).trim());
    else if (line.startsWith('fettle: unforeseen ')) keep(this.unforeseen, line.slice(19).trim());
    else if (line.startsWith('fettle: repaired ')) this.#repaired(line.slice(17).trim());
    else if (line === 'fettle: mended') {
      this.isRepaired = true;
      this.isRepairFailed = false;
    } else this.#complain(line, stream);
  }

  /** rpm counts a package as installed whose last scripts failed, and as not installed where its first one did. */
  #script(kind: string, script: string, spec: string, how: string): void {
    const text = `${script} script failed, ${how}`;
    if (kind === 'error') this.#failed(spec, text);
    else if (this.warnings.size < MAX_KEPT) this.warnings.set(nameOf(spec), text);
  }

  #repaired(code: string): void {
    this.isRepaired = code === '0';
    this.isRepairFailed = !this.isRepaired;
    if (!this.isRepaired) keep(this.complaints, `the repair of what was cut off before ended with exit code ${code}`);
  }

  #failed(spec: string, text: string): void {
    const name = nameOf(spec);
    if (this.errors.size < MAX_KEPT && !this.errors.has(name)) this.errors.set(name, text);
  }

  /** Of `Error:` and of the lines after it. */
  #complain(line: string, stream: 'stdout' | 'stderr'): void {
    const [, said] = /^(?:Error|fettle: locked): ?(.*)$/.exec(line) ?? [];
    if (said !== undefined) this.#inError[stream] = true;
    else if (!/^ {1,2}\S|already locked|^Error opening|incorrect checksum/.test(line)) this.#inError[stream] = false;
    if (this.#inError[stream] || /already locked|^Error opening/.test(line)) {
      const text = (said ?? line).trim();
      if (text !== '') keep(this.complaints, text);
    }
  }
}

/** `app-2.0-1.noarch` to `app`. */
function nameOf(spec: string): string {
  return spec.replace(/-[^-]+-[^-]+$/, '');
}
